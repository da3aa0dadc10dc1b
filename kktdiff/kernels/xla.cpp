// A custom call of XLA: the kernel `solve`, or `vjp` at what a solve has kept.
//
// Each argument and each result has a code: the place of its array in the signature of `solve`, or
// from VJP on of `vjp`, or one of the others below. Arrays without a code are this call's own. What
// is kept of an element is 1 and the form of H, then its arrays `kept` and `active`; and 0 where
// Python has solved.
#include "xla.hpp"

#include <atomic>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "processor.hpp"
#include "signatures.hpp"
#include "threads.hpp"

namespace kktdiff::xla {
namespace {

enum Code { NONE = -1, VJP = 100, NUMBERS = 200, SOLVED = 300, NUMBER, LEFT, STATE };
constexpr const char *SAME[] = {"Q", "G", "A", "h", "kept", "active"};  // in `solve` and in `vjp`
constexpr int MOST = sizeof Signature::array / sizeof *Signature::array;
constexpr int QUADRUPLE = 4, SEPARABLE = 6;     // the last one, of sizes
constexpr std::int32_t FIRST_NUMBER = 1 << 30;  // the callback counts from 0

const Signature &signature(const char *name) {
  const Signature *found = signatures;
  while (std::strcmp(found->name, name)) found++;
  return *found;
}

// Where the array of this name stands in a kernel's signature.
int place_of(const Signature &kernel, const char *name) {
  int i = 0;
  while (std::strcmp(kernel.array[i].name, name)) i++;
  return i;
}

struct Integers {
  const std::int64_t *data = nullptr;
  std::size_t size = 0;
};

// An attribute of 64-bit numbers; without data where there is none of this name and type.
Array attribute(const Attributes &all, const char *name, DataType type) {
  for (std::int64_t i = 0; i < all.size; i++) {
    const Text &own = *all.names[i];
    if (own.length != std::strlen(name) || std::memcmp(own.start, name, own.length)) continue;
    const Array *found = static_cast<const Array *>(all.values[i]);
    if (all.types[i] == ARRAY && found->type == type) return *found;
  }
  return {type, 0, nullptr};
}

Integers integers(const Attributes &all, const char *name) {
  const Array found = attribute(all, name, S64);
  return {static_cast<const std::int64_t *>(found.data), found.size};
}

std::int64_t entries(const Buffer &buffer) {
  std::int64_t count = 1;
  for (std::int64_t i = 0; i < buffer.rank; i++) count *= buffer.dims[i];
  return count;
}

// Memory of one call: in 8-byte units.
class Memory {
 public:
  void *take(std::int64_t units) {
    parts_.emplace_back(new double[units + 8]);
    return parts_.back().get();
  }

 private:
  std::vector<std::unique_ptr<double[]>> parts_;
};

// A kernel's arrays, as far as they are known.
struct Work {
  const Signature &kernel;
  const std::int64_t *sizes;
  void *arrays[MOST] = {};
  std::int64_t strides[MOST] = {};

  std::int64_t one(int i) const { return kernel.array[i].entries(sizes); }
  void place(int i, void *data, bool each) { arrays[i] = data, strides[i] = each ? one(i) : 0; }
  template <class T>
  const T *at(int i) const {
    return static_cast<const T *>(arrays[i]);
  }

  // Give the outputs that nobody asked for memory, but for those that may be left out.
  void complete(Memory &memory) {
    for (int i = 0; i < kernel.arrays; i++)
      if (kernel.array[i].use == Use::output && !arrays[i])
        place(i, memory.take(sizes[0] * one(i)), true);
  }

  void run(const Table &table, const double *options, int threads, Memory &memory) const {
    const std::int64_t doubles = ((table.*kernel.scratch)(sizes) + 7) / 8 * 8;
    auto address = reinterpret_cast<std::uintptr_t>(memory.take(doubles * threads));
    address = (address + 63) / 64 * 64;
    const Call call{sizes, options, arrays, strides, nullptr};
    Batch batch(table.*kernel.kernel, call, table.lanes, threads, {doubles, 0});
    kktdiff::run(batch, reinterpret_cast<double *>(address));
  }
};

// One custom call: its frame, with what its attributes say.
struct CustomCall {
  const Frame &frame;
  Memory memory;
  Integers given = integers(frame.attributes, "sizes");
  std::int64_t sizes[MOST] = {};
  Integers arguments = integers(frame.attributes, "arguments");
  Integers results = integers(frame.attributes, "results");
  Array options = attribute(frame.attributes, "options", F64);  // of `solve`, then of `vjp`
  Integers how = integers(frame.attributes, "how");             // the table, and how many threads
  Work solve{signature("solve"), sizes}, vjp{signature("vjp"), sizes};
  Work forms{signature("forms"), sizes};
  const int kept = place_of(solve.kernel, "kept"), active = place_of(solve.kernel, "active");
  bool fits = true;  // each array has the entries that its kernel takes
  std::int32_t *state = nullptr;
  bool derives = false;  // `vjp`, not `solve`

  explicit CustomCall(const Frame &own) : frame(own) {
    if (given.size <= MOST) std::memcpy(sizes, given.data, given.size * sizeof *sizes);
  }

  bool is_complete() const {
    return given.size == std::size_t(solve.kernel.sizes) && options.size == 4 && how.size == 2 &&
           arguments.size == std::size_t(frame.arguments.size) &&
           results.size == std::size_t(frame.results.size);
  }

  Work &work_of(std::int64_t code) { return code < VJP ? solve : vjp; }

  // The words of an element's state: a mark, the form of H, and the arrays.
  std::int64_t words() const { return 2 + 2 * solve.one(kept) + 2 * ((solve.one(active) + 7) / 8); }

  void take_state(const Buffer &buffer) {
    fits = fits && buffer.type == S32 && entries(buffer) == sizes[0] * words();
    state = static_cast<std::int32_t *>(buffer.data);
    solve.arrays[kept] = state + 2, solve.strides[kept] = words() / 2;
    solve.arrays[active] = state + 2 + 2 * solve.one(kept), solve.strides[active] = words() * 4;
  }

  bool is_kept() const {
    for (std::int64_t e = 0; e < sizes[0]; e++)
      if (state[e * words()] != 1) return false;
    return true;
  }

  // Take an argument as an array of float64.
  void take(const Buffer &buffer, std::int64_t code) {
    if (code == NONE) return;
    if (code == STATE) {
      derives = true;
      return take_state(buffer);
    }
    Work &work = work_of(code);
    const int i = int(code % VJP);
    const std::int64_t count = entries(buffer);
    void *data = buffer.data;
    if (buffer.type == F32) {
      auto *wide = static_cast<double *>(memory.take(count));
      for (std::int64_t j = 0; j < count; j++) wide[j] = static_cast<const float *>(data)[j];
      data = wide;
    } else if (!count) {
      data = memory.take(0);  // NULL would say that there is none
    }
    const bool each = count == sizes[0] * work.one(i);
    fits = fits && (each || count == work.one(i));
    work.place(i, data, each);
  }

  // Let a kernel write into a result of its own type; others are copied once it has.
  void offer(const Buffer &buffer, std::int64_t code) {
    if (code == STATE) take_state(buffer);
    if (code < 0 || code >= NUMBERS) return;
    Work &work = work_of(code);
    const int i = int(code % VJP);
    const bool own = buffer.type == (work.kernel.array[i].type == Type::int64 ? S64 : F64);
    void *data = own && entries(buffer) ? buffer.data : memory.take(entries(buffer));
    fits = fits && entries(buffer) == sizes[0] * work.one(i);
    work.place(i, data, true);
  }

  template <class To, class From>
  static void copy(const Buffer &buffer, const From *from, int step = 1) {
    auto *to = static_cast<To *>(buffer.data);
    for (std::int64_t i = 0, count = entries(buffer); i < count; i++) to[i] = To(from[i * step]);
  }

  static void copy_floats(const Buffer &buffer, const double *from, int step) {
    buffer.type == F32 ? copy<float>(buffer, from, step) : copy<double>(buffer, from, step);
  }

  // Write the results that no kernel has written itself.
  void give(const Buffer &buffer, std::int64_t code, bool left) {
    static std::atomic<std::int32_t> number{0};
    if (code == NONE) return;
    if (code == LEFT)
      *static_cast<std::int32_t *>(buffer.data) = left;
    else if (code == NUMBER)
      *static_cast<std::int32_t *>(buffer.data) = FIRST_NUMBER + number++ % FIRST_NUMBER;
    else if (code == SOLVED)
      std::memset(buffer.data, true, std::size_t(entries(buffer)));
    else if (code == STATE)
      for (std::int64_t e = 0; e < sizes[0]; e++)
        state[e * words()] = 1, state[e * words() + 1] = std::int32_t(sizes[SEPARABLE]);
    else if (code >= NUMBERS)
      copy_floats(buffer,
                  solve.at<double>(place_of(solve.kernel, "solution.numbers")) + (code - NUMBERS),
                  QUADRUPLE);
    else if (const void *from = work_of(code).arrays[code % VJP]; from != buffer.data)
      buffer.type == S32 ? copy<std::int32_t>(buffer, static_cast<const std::int64_t *>(from))
                         : copy_floats(buffer, static_cast<const double *>(from), 1);
  }

  // Return 1 if the H of all elements are diagonal, 0 if those of none are, and -1 otherwise.
  std::int64_t form(const Table &table) {
    if (solve.arrays[place_of(solve.kernel, "G")]) return 0;
    const int form = place_of(forms.kernel, "form");
    for (int i = 0; i < form; i++)  // the first ones are those of `solve`
      forms.arrays[i] = solve.arrays[i], forms.strides[i] = solve.strides[i];
    forms.complete(memory);
    forms.run(table, nullptr, 1, memory);
    std::int64_t diagonal = 0;
    for (std::int64_t e = 0; e < sizes[0]; e++) diagonal += forms.at<bool>(form)[e];
    return diagonal == sizes[0] ? 1 : diagonal ? -1 : 0;
  }

  // Return True if all elements are solved, or differentiated.
  bool run(const Table &table) {
    const auto *values = static_cast<const double *>(options.data);
    const int threads = int(how.data[1]);
    if (derives) {
      if (!is_kept()) return false;
      sizes[SEPARABLE] = state[1];
      for (const char *name : SAME) {
        const int from = place_of(solve.kernel, name), to = place_of(vjp.kernel, name);
        vjp.arrays[to] = solve.arrays[from], vjp.strides[to] = solve.strides[from];
      }
      vjp.complete(memory);
      vjp.run(table, values + 2, threads, memory);
      const void *inaccurate = vjp.arrays[place_of(vjp.kernel, "inaccurate")];
      return !std::memchr(inaccurate, true, std::size_t(sizes[0]));
    }
    sizes[SEPARABLE] = form(table);
    if (sizes[SEPARABLE] < 0) return false;
    solve.complete(memory);
    solve.run(table, values, threads, memory);
    const auto *status = solve.at<std::int64_t>(place_of(solve.kernel, "status"));
    for (std::int64_t e = 0; e < sizes[0]; e++)
      if (status[e]) return false;
    return true;
  }
};

Error *refuse(const Frame &frame, const char *message) {
  NewError error{sizeof(NewError), nullptr, message, INVALID_ARGUMENT};
  return frame.api->create_error(&error);
}

Error *answer(const Frame &frame) {
  CustomCall call(frame);
  const Table *tables[3];
  constexpr char MISFIT[] = "kktdiff: a custom call whose arrays are not as its attributes say";
  if (!call.is_complete() || call.how.data[0] >= supported(tables)) return refuse(frame, MISFIT);
  for (std::int64_t i = 0; i < frame.arguments.size; i++)
    call.take(*frame.arguments.values[i], call.arguments.data[i]);
  for (std::int64_t i = 0; i < frame.results.size; i++)
    call.offer(*frame.results.values[i], call.results.data[i]);
  if (!call.fits) return refuse(frame, MISFIT);
  const bool left = !call.run(*tables[call.how.data[0]]);
  for (std::int64_t i = 0; i < frame.results.size; i++)
    if (!left || call.results.data[i] == LEFT)
      call.give(*frame.results.values[i], call.results.data[i], left);
  return nullptr;
}

}  // namespace

Error *handle(Frame *frame) {
  for (Extension *e = frame->extensions; e; e = e->next)
    if (e->type == METADATA) {
      Metadata &about = *reinterpret_cast<MetadataExtension *>(e)->metadata;
      about.version = {sizeof(Version), nullptr, MAJOR, MINOR};
      about.traits = 0;
      return nullptr;
    }
  try {
    return answer(*frame);
  } catch (const std::bad_alloc &) { return refuse(*frame, "kktdiff: out of memory"); }
}

}  // namespace kktdiff::xla
