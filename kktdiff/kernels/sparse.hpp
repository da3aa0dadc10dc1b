// Patterns of sparse matrices, which all problems of a call share, and products by them.
//
// The values of a matrix stand in the order of its entries by rows.
#pragma once
#if defined(__CUDACC__)
#include "device_ldl.hpp"
#else
#include "ldl.hpp"
#endif

namespace kktdiff {
namespace {

struct Pattern {
  int rows, cols, entries;
  const int *start, *column;  // (rows + 1), (entries): those of each row
  // (cols + 1), (entries), (entries): those of each column; without them it is symmetric
  const int *top, *row, *entry;
};

// Do f(entry, column) for each entry of a row.
template <class F>
KKTDIFF_INLINE void in_row(const Pattern &of, int row, F f) {
  for (int e = of.start[row]; e < of.start[row + 1]; e++) f(e, of.column[e]);
}

// Do f(entry, row) for each entry of a column.
template <class F>
KKTDIFF_INLINE void in_column(const Pattern &of, int column, F f) {
  for (int e = of.top[column]; e < of.top[column + 1]; e++) f(of.entry[e], of.row[e]);
}

// out = A x
template <class T>
void times(const Pattern &of, const T *A, const T *x, T *out) {
  for (int i : each_entry(of.rows)) {
    T sum = 0.0;
    in_row(of, i, [&](int e, int j) { sum = fma(A[e], x[j], sum); });
    out[i] = sum;
  }
}

// out += A' z
template <class T>
void add_transposed(const Pattern &of, const T *A, const T *z, T *out) {
  for (int j : each_entry(of.cols)) {
    T sum = out[j];
    in_column(of, j, [&](int e, int i) { sum = fma(A[e], z[i], sum); });
    out[j] = sum;
  }
}

// out += |A'| |z|
template <class T>
void add_transposed_sizes(const Pattern &of, const T *A, const T *z, T *out) {
  for (int j : each_entry(of.cols)) {
    T sum = out[j];
    in_column(of, j, [&](int e, int i) { sum = fma(abs(A[e]), abs(z[i]), sum); });
    out[j] = sum;
  }
}

// out_i = max_j |A_ij| D_j; return the largest.
template <class T>
T norm_rows(const Pattern &of, const T *A, const T *D, T *out) {
  T biggest = 0.0;
  for (int i : each_entry(of.rows)) {
    T own = 0.0;
    in_row(of, i, [&](int e, int j) { own = max(abs(A[e]) * D[j], own); });
    out[i] = own, biggest = max(own, biggest);
  }
  return max_of_all(biggest);
}

// out_j = max(out_j, max_i E_i |A_ij|)
template <class T>
void norm_columns(const Pattern &of, const T *A, const T *E, T *out) {
  for (int j : each_entry(of.cols)) {
    T own = out[j];
    in_column(of, j, [&](int e, int i) { own = max(abs(A[e]) * E[i], own); });
    out[j] = own;
  }
}

// A_ij becomes E_i A_ij D_j.
template <class T>
void times_rows_and_columns(const Pattern &of, const T *E, const T *D, T *A) {
  for (int i : each_entry(of.rows)) in_row(of, i, [&](int e, int j) { A[e] = E[i] * A[e] * D[j]; });
}

// What all sparse problems of a call share: the patterns of their matrices and of the factor.
struct Structure {
  Pattern Q, G, A, given_Q;   // Q with both triangles and the diagonal; as it is given
  const int *first, *second;  // (Q.entries): the given entries whose mean one is, or -1
  const int *diagonal;        // (core): where the diagonal of Q stands
  LdlPattern ldl;             // of the system, its unknowns being x, then nu, then the rows of G
  // (ldl.given): the entry of (Q, A, G) that each one is, and its unknowns
  const int *source, *one, *other;
};

// Read a pattern; return what follows it.
inline const int *read_pattern(int rows, int cols, int entries, bool columns, const int *from,
                               Pattern &out) {
  out = {rows, cols, entries, from, from + rows + 1, from, from + rows + 1, nullptr};
  from = out.column + entries;
  if (!columns) return from;
  out.top = from, out.row = from + cols + 1, out.entry = out.row + entries;
  return out.entry + entries;
}

// Read what kktdiff/_sparse/structure.py, or for a device levels.py, has put together.
inline Structure structure_of(const int *from) {
  Structure s{};
  const int n = from[0], m = from[1], k = from[2], Q = from[3], G = from[4], A = from[5];
  const int given_Q = from[6], given = from[7], *counts = from + 9;
  s.ldl.size = n + m + k, s.ldl.given = given, s.ldl.entries = from[8];
  from = read_pattern(n, n, Q, false, counts + LDL_COUNTS, s.Q);
  const auto take = [&](int count) { return from += count, from - count; };
  s.first = take(Q), s.second = take(Q), s.diagonal = take(n);
  from = read_pattern(n, n, given_Q, false, from, s.given_Q);
  from = read_pattern(m, n, G, true, from, s.G);
  from = read_pattern(k, n, A, true, from, s.A);
  s.source = take(given), s.one = take(given), s.other = take(given);
  read_factor(counts, from, s.ldl);
  return s;
}

}  // namespace
}  // namespace kktdiff
