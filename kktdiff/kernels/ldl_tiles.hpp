// Products and triangular solves within panels of columns, by tiles in registers: for problems in
// lanes and, along the rows of a matrix, for one problem.
#pragma once
#include "dense.hpp"

namespace kktdiff {
namespace {

template <class T>
constexpr int tile_rows = TILE;
template <>
constexpr int tile_rows<double> = ROWS;

// panel, (depth, tile_rows) = the first `rows` entries of `depth` rows of U, times -pivot
template <class T>
void pack_columns(int depth, int rows, const T *pivot, const T *U, int n, T *panel) {
  for (int q = 0; q < depth; q++, U += n, panel += tile_rows<T>) {
    const T factor = -pivot[q];
    for (int r = 0; r < rows; r++) panel[r] = factor * U[r];
  }
}
inline void pack_columns(int depth, int rows, const double *pivot, const double *U, int n,
                         double *panel) {
  for (int q = 0; q < depth; q++) pack_row(-pivot[q], U + q * n, rows, panel + q * ROWS);
}

template <int R, class T>
KKTDIFF_INLINE void update_row_tiles(int depth, const T *left, const T *right, int n, int width,
                                     T *H) {
  int j = 0;
  for (; j + TILE <= width; j += TILE) gram_tile<R, TILE>(depth, n, left, right + j, H + j);
  for (; j < width; j++) gram_tile<R, 1>(depth, n, left, right + j, H + j);
}

// `rows` rows, at most tile_rows, and `width` columns of H: += left' right; left: (depth,
// tile_rows)
template <class T>
void update_rows(int rows, int depth, const T *left, const T *right, int n, int width, T *H) {
  if (depth) KKTDIFF_WITH_SIZE(rows, update_row_tiles<R>(depth, left, right, n, width, H))
}
inline void update_rows(int rows, int depth, const double *left, const double *right, int n,
                        int width, double *H) {
  if (depth) update_some(rows, depth, left, right, n, width, H);
}

template <int R, class T>
KKTDIFF_INLINE void solve_row_tiles(const T *triangle, int n, int j, int end, T *B) {
  for (; j < end; j++) {
    T v[R];
  KKTDIFF_UNROLL for (int r = 0; r < R; r++) {
      v[r] = B[r * n + j];
      KKTDIFF_UNROLL for (int q = 0; q < r; q++) v[r] = fma(-triangle[q * TILE + r], v[q], v[r]);
      B[r * n + j] = v[r];
    }
  }
}

// `rows` rows of B in columns j to end - 1 become those of L^-1 B, the diagonal of L being one;
// triangle: (tile_rows, tile_rows), L' above the diagonal, which is not read
template <class T>
void solve_rows(int rows, T *triangle, int n, int j, int end, T *B) {
  KKTDIFF_WITH_SIZE(rows, solve_row_tiles<R>(triangle, n, j, end, B))
}
inline void solve_rows(int rows, double *triangle, int n, int j, int end, double *B) {
  for (int r = 0; r < rows; r++) triangle[r * ROWS + r] = 1.0;
  solve_some(rows, ROWS, triangle, n, j, end, B);
}

// out += sum_q factors[q] A[q, :], A: (count, width), its rows n apart
template <class T>
void add_columns(int count, int width, const T *factors, const T *A, int n, T *out) {
  int q = 0;
  for (; q + TILE <= count; q += TILE)
    for (int i = 0; i < width; i++) {
      T sum = out[i];
      KKTDIFF_UNROLL for (int r = 0; r < TILE; r++) sum = fma(factors[q + r], A[(q + r) * n + i], sum);
      out[i] = sum;
    }
  for (; q < count; q++)
    for (int i = 0; i < width; i++) out[i] = fma(factors[q], A[q * n + i], out[i]);
}
inline void add_columns(int count, int width, const double *factors, const double *A, int n,
                        double *out) {
  int q = 0;
  for (; q + DEPTH <= count; q += DEPTH) add_rows<DEPTH>(width, factors + q, A + q * n, n, out);
  for (; q < count; q++) add_rows<1>(width, factors + q, A + q * n, n, out);
}

// out = A x, A: (count, width), its rows n apart
template <class T>
void dot_columns(int count, int width, const T *A, int n, const T *x, T *out) {
  for (int q = 0; q < count; q += TILE) {
    const int rows = count - q < TILE ? count - q : TILE;
    T sums[TILE];
    for (int r = 0; r < TILE; r++) sums[r] = 0.0;
    if (rows == TILE)
      for (int i = 0; i < width; i++)
        KKTDIFF_UNROLL for (int r = 0; r < TILE; r++) sums[r] = fma(A[(q + r) * n + i], x[i], sums[r]);
    else
      for (int r = 0; r < rows; r++)
        for (int i = 0; i < width; i++) sums[r] = fma(A[(q + r) * n + i], x[i], sums[r]);
    for (int r = 0; r < rows; r++) out[q + r] = sums[r];
  }
}
inline void dot_columns(int count, int width, const double *A, int n, const double *x,
                        double *out) {
  int q = 0;
  for (; q + DEPTH <= count; q += DEPTH) dot_rows<DEPTH>(width, A + q * n, n, x, out + q);
  for (; q < count; q++) dot_rows<1>(width, A + q * n, n, x, out + q);
}

}  // namespace
}  // namespace kktdiff
