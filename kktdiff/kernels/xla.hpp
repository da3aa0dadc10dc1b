// The part of XLA's foreign function interface that a handler of custom calls needs.
//
// These are the declarations of xla/ffi/api/c_api.h (The OpenXLA Authors, Apache-2.0) in our names,
// so that the kernels are compiled without jaxlib. They have stood since version 0.1 of the
// interface, which is what `Metadata` is told; XLA refuses a handler of a version that it no longer
// supports when it is registered.
#pragma once
#include <cstddef>
#include <cstdint>

namespace kktdiff::xla {

constexpr int MAJOR = 0, MINOR = 1;

struct Extension {
  std::size_t struct_size;
  int type;  // METADATA
  Extension *next;
};
constexpr int METADATA = 1;

struct Version {
  std::size_t struct_size;
  Extension *extensions;
  int major, minor;
};

struct Metadata {
  std::size_t struct_size;
  Version version;
  std::uint32_t traits;
};

struct MetadataExtension {
  Extension base;
  Metadata *metadata;
};

enum DataType { PRED = 1, S32 = 4, S64 = 5, F32 = 11, F64 = 12 };

struct Buffer {
  std::size_t struct_size;
  Extension *extensions;
  int type;  // a DataType
  void *data;
  std::int64_t rank;
  std::int64_t *dims;
};

struct Buffers {  // arguments or results
  std::size_t struct_size;
  Extension *extensions;
  std::int64_t size;
  int *types;
  Buffer **values;
};

struct Text {
  const char *start;
  std::size_t length;
};

struct Array {  // an attribute of the kind ARRAY
  int type;     // a DataType
  std::size_t size;
  void *data;
};
constexpr int ARRAY = 1;

struct Attributes {
  std::size_t struct_size;
  Extension *extensions;
  std::int64_t size;
  int *types;
  Text **names;
  void **values;
};

struct Error;

struct NewError {
  std::size_t struct_size;
  Extension *extensions;
  const char *message;
  int code;
};
constexpr int INVALID_ARGUMENT = 3;

struct Api {
  std::size_t struct_size;
  Extension *extensions;
  Version version;
  const void *internal;
  Error *(*create_error)(NewError *);
};

struct Frame {  // of a call
  std::size_t struct_size;
  Extension *extensions;
  const Api *api;
  void *context;
  int stage;
  Buffers arguments, results;
  Attributes attributes;
};

// The handler: solves the problems of its arguments, and pulls cotangents back where it has some.
// xla.py says what it is given.
Error *handle(Frame *frame);

}  // namespace kktdiff::xla
