// A group of problems, one in each lane: from the caller's arrays and back.
#pragma once
#include "load.hpp"

namespace kktdiff {
namespace {

// Sizes of a call: elements, n, m, k, rows of lower and of upper bounds, 1 if H is diagonal,
// slacks, then what the kernel alone takes.
inline Sizes sizes_of(const std::int64_t *s) {
  return {int(s[1]), int(s[2]), int(s[3]), int(s[4]), int(s[5]), int(s[1] - s[7])};
}

// The elements of one group: the last one again in lanes that have none.
template <class T>
struct Group {
  static constexpr int lanes = Lanes<T>::count;
  const Call &call;
  std::int64_t first, last;

  std::int64_t element(int lane) const { return first + lane < last ? first + lane : last - 1; }
  int count() const { return last - first < lanes ? int(last - first) : lanes; }
};

template <class T>
void load_array(const Group<T> &g, int which, int count, T *out) {
  const double *from = array<const double>(g.call, which, g.first);
  for (int i = 0; i < count; i++)
    out[i] = from ? load<T>(from + i, g.call.strides[which], g.count()) : T(0.0);
}

// Load a matrix.
template <class T>
void load_matrix(const Group<T> &g, int which, int rows, int cols, T *out) {
  split(Work<T>{nullptr, g.call.team}, rows, is_large(rows, cols), 1, 1, [&](int i, int last, T *) {
    const double *from = array<const double>(g.call, which, g.first);
    for (int e = i * cols; e < last * cols; e++)
      out[e] = from ? load<T>(from + e, g.call.strides[which], g.count()) : T(0.0);
  });
}

// Load (Q + Q')/2, or its diagonal where H is one.
template <class T>
void load_Q(const Group<T> &g, int which, Problem<T> &q) {
  const int core = q.size.core;
  if (!q.separable) {
    load_matrix(g, which, core, core, q.Q);
    return symmetrize(core, g.call.team, q.Q);
  }
  const double *from = array<const double>(g.call, which, g.first);
  for (int j = 0; j < core; j++)
    q.Q[j] = load<T>(from + (long long)j * (core + 1), g.call.strides[which], g.count());
}

template <class T>
void load_mask(const Group<T> &g, int which, int count, Mask<T> *out) {
  for (int l = 0; l < g.lanes; l++) {
    const unsigned char *from = array<const unsigned char>(g.call, which, g.element(l));
    for (int i = 0; i < count; i++) set_lane(out[i], l, from && from[i]);
  }
}

template <class T>
void store_array(const Group<T> &g, int which, int count, const T *values) {
  double *to = array<double>(g.call, which, g.first);
  for (int i = 0; i < count; i++) store(to + i, g.call.strides[which], values[i], g.count());
}

}  // namespace
}  // namespace kktdiff
