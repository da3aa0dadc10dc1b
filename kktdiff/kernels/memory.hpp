// Memory of a kernel.
#pragma once

namespace kktdiff {
namespace {

// Memory taken piece by piece; without a base it only counts.
//
// A device has some that is fast, and goes to whoever asks first: what is used most is made first.
struct Arena {
  char *base = nullptr;
  long long used = 0;
  char *fast = nullptr;
  long long fast_left = 0;
  void *square = nullptr;  // fast, for the (core, core) that is factored

  template <class U>
  U *take(long long count) {
    const long long bytes = size_of<U>(count);
    if (bytes > fast_left) return take_slow<U>(count);
    U *out = reinterpret_cast<U *>(fast);
    fast += bytes, fast_left -= bytes;
    return out;
  }

  template <class U>
  U *take_slow(long long count) {  // for matrices
    U *out = reinterpret_cast<U *>(base + used);
    used += size_of<U>(count);
    return out;
  }

  template <class U>
  U *take_square(long long count) {
    return square ? static_cast<U *>(square) : take_slow<U>(count);
  }

  template <class U>
  static long long size_of(long long count) {
    return (count * (long long)sizeof(U) + 63) / 64 * 64;
  }
};

}  // namespace
}  // namespace kktdiff
