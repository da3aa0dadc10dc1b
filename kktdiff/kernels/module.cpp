// kktdiff.kernels._native: checks what it is called with, then runs a kernel without the GIL.
#ifdef KKTDIFF_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstring>
#include <memory>

#include "analysis.hpp"
#include "processor.hpp"
#include "signatures.hpp"
#include "threads.hpp"
#include "xla.hpp"

namespace {

using namespace kktdiff;

constexpr int MOST = sizeof Signature::array / sizeof(Array);
constexpr int MOST_THREADS = 4096;

const Table *tables[3];
const int variants = supported(tables);

// The buffers of one call, released at its end.
struct Buffers {
  Py_buffer buffer[MOST];
  int count = 0;
  ~Buffers() {
    while (count) PyBuffer_Release(&buffer[--count]);
  }
};

const char *title(Type type) {
  return type == Type::float64 ? "float64"
         : type == Type::int64 ? "int64"
         : type == Type::int32 ? "int32"
                               : "bool";
}

bool holds(const Py_buffer &buffer, Type type) {
  const char *format = buffer.format ? buffer.format : "B";
  if (std::strlen(format) != 1) return false;
  const Py_ssize_t size = type == Type::boolean ? 1 : type == Type::int32 ? 4 : 8;
  const char *letters = type == Type::float64 ? "d"
                        : type == Type::int64 ? "lq"
                        : type == Type::int32 ? "il"
                                              : "?B";
  return buffer.itemsize == size && std::strchr(letters, *format);
}

// Read tuple `values` of `expected` numbers; false with an error set if it is anything else.
template <class Number, class Read>
bool numbers(const char *kernel, const char *what, PyObject *values, int expected, Number *out,
             Read read) {
  if (!PyTuple_Check(values) || PyTuple_Size(values) != expected) {
    PyErr_Format(PyExc_TypeError, "%s: %s: expected a tuple of %d numbers, got %R", kernel, what,
                 expected, values);
    return false;
  }
  for (int i = 0; i < expected; i++) {
    out[i] = read(PyTuple_GetItem(values, i));
    if (PyErr_Occurred()) return false;
  }
  return true;
}

// Take the memory of `given` as the kernel's array; false with an error set if it does not fit.
bool take(const Signature &kernel, const Array &array, PyObject *given, const std::int64_t *sizes,
          Buffers &buffers, void *&pointer, std::int64_t &stride) {
  const bool written = array.use == Use::output || array.use == Use::optional_output;
  pointer = nullptr;
  stride = 0;
  if (given == Py_None) {
    if (array.use == Use::optional_input || array.use == Use::optional_output) return true;
    PyErr_Format(PyExc_TypeError, "%s: %s: expected an array, got None", kernel.name, array.name);
    return false;
  }
  Py_buffer &buffer = buffers.buffer[buffers.count];
  const int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (written ? PyBUF_WRITABLE : 0);
  if (PyObject_GetBuffer(given, &buffer, flags)) {
    PyErr_Clear();
    PyErr_Format(PyExc_ValueError,
                 "%s: %s: expected a C-contiguous%s %s array, got %R that is none", kernel.name,
                 array.name, written ? ", writable" : "", title(array.type),
                 reinterpret_cast<PyObject *>(Py_TYPE(given)));
    return false;
  }
  buffers.count++;
  if (!holds(buffer, array.type)) {
    PyErr_Format(PyExc_TypeError, "%s: %s: expected %s, got the format '%s'", kernel.name,
                 array.name, title(array.type), buffer.format ? buffer.format : "B");
    return false;
  }
  const std::int64_t found = buffer.len / buffer.itemsize, one = array.entries(sizes);
  const bool each = one ? found % one == 0 && found / one == sizes[0] : found == 0;
  if (!each && (written || found != one)) {
    PyErr_Format(PyExc_ValueError,
                 "%s: %s: expected %lld entries for each of %lld elements%s, "
                 "got %lld in all",
                 kernel.name, array.name, static_cast<long long>(one),
                 static_cast<long long>(sizes[0]), written ? "" : " or for all",
                 static_cast<long long>(found));
    return false;
  }
  pointer = buffer.buf;
  stride = each ? one : 0;
  return true;
}

std::int64_t padded(std::int64_t doubles) { return (doubles + 7) / 8 * 8; }

// Run the kernel without the GIL; the number of threads that worked, 0 without memory.
int released(const Table &table, const Signature &kernel, Call call, int threads) {
  Scratch needed{0, 0};
  if (kernel.scratch)
    needed = {padded((table.*kernel.scratch)(call.sizes)),
              padded(table.helper_scratch(call.sizes))};
  Batch batch(table.*kernel.kernel, call, table.lanes, threads, needed);
  std::unique_ptr<double[]> memory;
  double *scratch = nullptr;
  if (const std::int64_t doubles = batch.doubles() * batch.workers()) {
    memory.reset(new (std::nothrow) double[doubles + 8]);
    if (!memory) return 0;
    scratch = memory.get();
    while (reinterpret_cast<std::uintptr_t>(scratch) % 64) scratch++;
  }
  int worked;
  Py_BEGIN_ALLOW_THREADS
  worked = run(batch, scratch);
  Py_END_ALLOW_THREADS
  return worked;
}

const Table *table_named(const char *name) {
  for (int i = 0; i < variants; i++)
    if (!std::strcmp(tables[i]->name, name)) return tables[i];
  PyErr_Format(PyExc_ValueError, "there is no variant '%s' here", name);
  return nullptr;
}

const Signature *kernel_named(const char *name) {
  for (const Signature &kernel : signatures)
    if (!std::strcmp(kernel.name, name)) return &kernel;
  PyErr_Format(PyExc_ValueError, "there is no kernel '%s'", name);
  return nullptr;
}

PyObject *call(PyObject *, PyObject *arguments) {
  const char *variant, *name;
  PyObject *sizes_given, *options_given, *arrays_given;
  int threads;
  if (!PyArg_ParseTuple(arguments, "ssOOOi:call", &variant, &name, &sizes_given, &options_given,
                        &arrays_given, &threads))
    return nullptr;
  const Table *table = table_named(variant);
  const Signature *kernel = table ? kernel_named(name) : nullptr;
  if (!kernel) return nullptr;
  std::int64_t sizes[MOST], strides[MOST];
  double options[MOST];
  void *pointers[MOST];
  if (!numbers(name, "sizes", sizes_given, kernel->sizes, sizes, PyLong_AsLongLong) ||
      !numbers(name, "options", options_given, kernel->options, options, PyFloat_AsDouble))
    return nullptr;
  for (int i = 0; i < kernel->sizes; i++)
    if (sizes[i] < 0 || sizes[i] > INT32_MAX) {
      PyErr_Format(PyExc_ValueError, "%s: sizes: expected 0 to 2147483647, got %R", name,
                   sizes_given);
      return nullptr;
    }
  if (threads < 1 || threads > MOST_THREADS) {
    PyErr_Format(PyExc_ValueError, "%s: threads: expected 1 to %d, got %d", name, MOST_THREADS,
                 threads);
    return nullptr;
  }
  if (!PyTuple_Check(arrays_given) || PyTuple_Size(arrays_given) != kernel->arrays) {
    PyErr_Format(PyExc_TypeError, "%s: expected a tuple of %d arrays", name, kernel->arrays);
    return nullptr;
  }
  Buffers buffers;
  for (int i = 0; i < kernel->arrays; i++)
    if (!take(*kernel, kernel->array[i], PyTuple_GetItem(arrays_given, i), sizes, buffers,
              pointers[i], strides[i]))
      return nullptr;
  const int worked =
      released(*table, *kernel, {sizes, options, pointers, strides, nullptr}, threads);
  return worked ? PyLong_FromLong(worked) : PyErr_NoMemory();
}

PyObject *flattened(const Analysis &of) {
  const int panels = of.first.empty() ? 0 : int(of.first.size()) - 1;
  const std::vector<std::int32_t> sizes = {panels, int(of.below.size()), int(of.from.size())};
  const std::vector<std::int32_t> *parts[] = {&sizes,    &of.order, &of.first, &of.entry, &of.start,
                                              &of.below, &of.left,  &of.from,  &of.at};
  Py_ssize_t count = 0;
  for (const auto *part : parts) count += Py_ssize_t(part->size());
  PyObject *bytes = PyBytes_FromStringAndSize(nullptr, 4 * count);
  char *to = bytes ? PyBytes_AsString(bytes) : nullptr;
  for (const auto *part : parts) {
    if (!to) break;
    std::memcpy(to, part->data(), 4 * part->size()), to += 4 * part->size();
  }
  return bytes;
}

PyObject *names(PyObject *, PyObject *) {
  PyObject *found = PyTuple_New(variants);
  for (int i = 0; found && i < variants; i++) {
    PyObject *name = PyUnicode_FromString(tables[i]->name);
    if (!name || PyTuple_SetItem(found, i, name)) Py_CLEAR(found);
  }
  return found;
}

// The order in which a symmetric pattern is eliminated, and the panels of its factor: the numbers
// of panels, of rows and of pairs, then the parts of `Analysis`, in int32. start, (size + 1), and
// index: columns of both triangles, without the diagonal.
PyObject *analysed(PyObject *, PyObject *arguments) {
  Py_buffer start, index;
  int panels;
  if (!PyArg_ParseTuple(arguments, "y*y*p:analyse", &start, &index, &panels)) return nullptr;
  const Py_ssize_t size = start.len / 4 - 1;
  const auto *first = static_cast<const std::int32_t *>(start.buf);
  const auto *rows = static_cast<const std::int32_t *>(index.buf);
  bool sound = size >= 0 && first[0] == 0 && first[size] == index.len / 4;
  for (Py_ssize_t i = 0; sound && i < size; i++) sound = first[i] <= first[i + 1];
  for (Py_ssize_t e = 0; sound && e < index.len / 4; e++) sound = rows[e] >= 0 && rows[e] < size;
  std::unique_ptr<Analysis> found;
  if (sound) {
    Py_BEGIN_ALLOW_THREADS
    try {
      found.reset(new Analysis(analyse(int(size), first, rows, panels != 0)));
    } catch (const std::bad_alloc &) {}
    Py_END_ALLOW_THREADS
  }
  PyBuffer_Release(&start), PyBuffer_Release(&index);
  if (!sound) {
    PyErr_SetString(PyExc_ValueError, "analyse: expected the columns of a square pattern, int32");
    return nullptr;
  }
  return found ? flattened(*found) : PyErr_NoMemory();
}

// The names of a kernel's arrays.
PyObject *arrays(PyObject *, PyObject *arguments) {
  const char *name;
  if (!PyArg_ParseTuple(arguments, "s:arrays", &name)) return nullptr;
  const Signature *kernel = kernel_named(name);
  PyObject *found = kernel ? PyTuple_New(kernel->arrays) : nullptr;
  for (int i = 0; found && i < kernel->arrays; i++) {
    PyObject *text = PyUnicode_FromString(kernel->array[i].name);
    if (!text || PyTuple_SetItem(found, i, text)) Py_CLEAR(found);
  }
  return found;
}

// The capsule as which JAX registers a handler of XLA's custom calls.
PyObject *custom_call(PyObject *, PyObject *) {
  return PyCapsule_New(reinterpret_cast<void *>(xla::handle), "xla._CUSTOM_CALL_TARGET", nullptr);
}

PyMethodDef methods[] = {
    {"analyse", analysed, METH_VARARGS,
     "analyse(start, index, panels) -> bytes: order, and pattern of L"},
    {"arrays", arrays, METH_VARARGS, "arrays(name) -> the names of a kernel's arrays"},
    {"call", call, METH_VARARGS,
     "call(variant, name, sizes, options, arrays, threads) -> threads that worked"},
    {"custom_call", custom_call, METH_NOARGS, "The handler of XLA's custom calls, for xla.py."},
    {"variants", names, METH_NOARGS, "The instruction sets that run here, the best one last."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef_Slot slots[] = {
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, nullptr},
};

PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_native", nullptr, 0, methods, slots, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__native() { return PyModuleDef_Init(&module); }
