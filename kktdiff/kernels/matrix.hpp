// A matrix of a problem, dense or sparse, and products with it.
#pragma once
#include "shared.hpp"
#include "sparse.hpp"

namespace kktdiff {
namespace {

template <class T>
struct Matrix {
  int rows, cols;
  T *at;                   // (rows, cols), or the entries of the pattern
  const Pattern *pattern;  // NULL where it is dense
  Team *team;              // threads that share products
  int entries() const { return pattern ? pattern->entries : rows * cols; }
};

// out = A x
template <class T>
void times(const Matrix<T> &A, const T *x, T *out) {
  if (A.pattern) return times(*A.pattern, A.at, x, out);
  times(A.team, A.rows, A.cols, A.at, x, out);
}

// out += A' z
template <class T>
void add_transposed(const Matrix<T> &A, const T *z, T *out) {
  if (A.pattern) return add_transposed(*A.pattern, A.at, z, out);
  add_transposed(A.team, A.rows, A.cols, A.at, z, out);
}

// The largest entry of |A| |x|.
template <class T>
T largest_product(const Matrix<T> &A, const T *x) {
  T out = 0.0;
  if (A.pattern) {
    for (int i : each_entry(A.rows)) {
      T sum = 0.0;
      in_row(*A.pattern, i, [&](int e, int j) { sum = fma(abs(A.at[e]), abs(x[j]), sum); });
      out = max(sum, out);
    }
    return max_of_all(out);
  }
  for (int i : each_row(A.rows)) {
    T sum = 0.0;
    for (int j : each_column(A.cols)) sum = fma(abs(A.at[i * A.cols + j]), abs(x[j]), sum);
    out = max(sum_of_row(sum), out);
  }
  return max_of_all(out);
}

// out += |A'| |z|
template <class T>
void add_transposed_sizes(const Matrix<T> &A, const T *z, T *out) {
  if (A.pattern) return add_transposed_sizes(*A.pattern, A.at, z, out);
  const int n = A.cols;
  in_columns(n, [=](int first, int last) {
    for (int i = 0; i < A.rows; i++)
      for (int j = first; j < last; j++) out[j] = fma(abs(A.at[i * n + j]), abs(z[i]), out[j]);
  });
}

// out_i = max_j |A_ij| D_j; return the largest.
template <class T>
T norm_rows(const Matrix<T> &A, const T *D, T *out) {
  if (A.pattern) return norm_rows(*A.pattern, A.at, D, out);
  T biggest = 0.0;
  for (int i : each_row(A.rows)) {
    T own = 0.0;
    for (int j : each_column(A.cols)) own = max(abs(A.at[i * A.cols + j]) * D[j], own);
    out[i] = own = max_of_row(own);
    biggest = max(own, biggest);
  }
  return max_of_all(biggest);
}

// out_j = max(out_j, max_i E_i |A_ij|)
template <class T>
void norm_columns(const Matrix<T> &A, const T *E, T *out) {
  if (A.pattern) return norm_columns(*A.pattern, A.at, E, out);
  const int n = A.cols;
  in_columns(n, [=](int first, int last) {
    for (int i = 0; i < A.rows; i++)
      for (int j = first; j < last; j++) out[j] = max(abs(A.at[i * n + j]) * E[i], out[j]);
  });
}

// A_ij becomes E_i A_ij D_j.
template <class T>
void times_rows_and_columns(const Matrix<T> &A, const T *E, const T *D) {
  if (A.pattern) return times_rows_and_columns(*A.pattern, E, D, A.at);
  const int n = A.cols;
  split(Work<T>{nullptr, A.team}, A.rows, is_large(A.rows, n), 1, 1, [=](int i, int last, T *) {
    for (; i < last; i++)
      for (int j : each_column(n)) A.at[i * n + j] = E[i] * A.at[i * n + j] * D[j];
  });
}

// Do f(row, A_ij) for each entry of column j.
template <class T, class F>
KKTDIFF_INLINE void in_column(const Matrix<T> &A, int j, F f) {
  const auto sparse = [&](int e, int i) { f(i, A.at[e]); };
  if (A.pattern)
    return A.pattern->entry ? in_column(*A.pattern, j, sparse) : in_row(*A.pattern, j, sparse);
  for (int i = 0; i < A.rows; i++) f(i, A.at[i * A.cols + j]);
}

}  // namespace
}  // namespace kktdiff
