// The linear algebra of linear.hpp for one problem, T = double: vectors lie along rows.
//
// A factor's upper triangle holds U = L', so that rows of it are contiguous; the diagonal holds
// 1/u_jj. Vectors may be read beyond a row's end, never written: an arena has room for one more.
#pragma once
#include "linear.hpp"

namespace kktdiff {
namespace {

#if defined(__CUDACC__)
constexpr int PANEL = TILE;
#else

constexpr int ROWS = LANES == 8 ? 6 : LANES == 4 ? 4 : 3;  // of a tile of 2 vectors

constexpr int PANEL = ROWS > TILE ? ROWS : TILE;

KKTDIFF_INLINE Pack read(const double *from) {
  typedef double Loose __attribute__((vector_size(8 * LANES), aligned(8), __may_alias__));
  return Vector(*reinterpret_cast<const Loose *>(from));
}

KKTDIFF_INLINE void write(double *to, Pack value, int count) {
  typedef double Loose __attribute__((vector_size(8 * LANES), aligned(8), __may_alias__));
  if (count >= LANES)
    *reinterpret_cast<Loose *>(to) = value.v;
  else
    for (int l = 0; l < count; l++) to[l] = value.v[l];
}

// The entries of a row from `from` on, and 0 beyond its end, `count` entries on.
KKTDIFF_INLINE Pack read_some(const double *from, int count) {
  Pack out = 0.0;
  for (int l = 0; l < LANES; l++)
    if (l < count) out.v[l] = from[l];
  return out;
}

KKTDIFF_INLINE double sum(Pack a) {
  double half[LANES];
  __builtin_memcpy(half, &a, sizeof half);
  KKTDIFF_UNROLL for (int width = LANES / 2; width > 0; width /= 2)
    KKTDIFF_UNROLL for (int l = 0; l < width; l++) half[l] += half[l + width];
  return half[0];
}

constexpr int DEPTH = 4;  // rows that one pass over a vector takes

// out[r] = sum_j A[r, j] x_j for R rows
template <int R>
KKTDIFF_INLINE void dot_rows(int n, const double *A, int stride, const double *x, double *out) {
  Pack sums[R];
  KKTDIFF_UNROLL for (int r = 0; r < R; r++) sums[r] = 0.0;
  int j = 0;
  for (; j + LANES <= n; j += LANES) {
    const Pack own = read(x + j);
    KKTDIFF_UNROLL for (int r = 0; r < R; r++) sums[r] = fma(read(A + r * stride + j), own, sums[r]);
  }
  if (j < n) {
    const Pack own = read_some(x + j, n - j);
    KKTDIFF_UNROLL for (int r = 0; r < R; r++) sums[r] = fma(read_some(A + r * stride + j, n - j), own, sums[r]);
  }
  KKTDIFF_UNROLL for (int r = 0; r < R; r++) out[r] = sum(sums[r]);
}

// out += sum_r factors[r] A[r, :] for R rows
template <int R>
KKTDIFF_INLINE void add_rows(int n, const double *factors, const double *A, int stride, double *out) {
  int j = 0;
  for (; j + LANES <= n; j += LANES) {
    Pack own = read(out + j);
    KKTDIFF_UNROLL for (int r = 0; r < R; r++) own = fma(Pack(factors[r]), read(A + r * stride + j), own);
    write(out + j, own, LANES);
  }
  for (; j < n; j++)
    KKTDIFF_UNROLL for (int r = 0; r < R; r++) out[j] = fma(factors[r], A[r * stride + j], out[j]);
}

inline void times(int m, int n, const double *A, const double *x, double *out) {
  int i = 0;
  for (; i + DEPTH <= m; i += DEPTH) dot_rows<DEPTH>(n, A + i * n, n, x, out + i);
  for (; i < m; i++) dot_rows<1>(n, A + i * n, n, x, out + i);
}

inline void add_transposed(int m, int n, const double *A, const double *z, double *out) {
  int i = 0;
  for (; i + DEPTH <= m; i += DEPTH) add_rows<DEPTH>(n, z + i, A + i * n, n, out);
  for (; i < m; i++) add_rows<1>(n, z + i, A + i * n, n, out);
}

// The tile H(i.., j..) += sum_q left(q, i..) right(q, j..), R rows and C vectors; rows of length n.
template <int R, int C>
KKTDIFF_INLINE void update_tile(int depth, const double *left, const double *right, int n,
                                double *H, int width) {
  Pack sums[R][C];
  KKTDIFF_UNROLL for (int r = 0; r < R; r++)
    KKTDIFF_UNROLL for (int c = 0; c < C; c++) sums[r][c] = read(H + r * n + c * LANES);
  for (int q = 0; q < depth; q++) {
    Pack own[C];
    KKTDIFF_UNROLL for (int c = 0; c < C; c++) own[c] = read(right + q * n + c * LANES);
    KKTDIFF_UNROLL for (int r = 0; r < R; r++)
      KKTDIFF_UNROLL for (int c = 0; c < C; c++) sums[r][c] = fma(Pack(left[q * ROWS + r]), own[c], sums[r][c]);
  }
  KKTDIFF_UNROLL for (int r = 0; r < R; r++)
    KKTDIFF_UNROLL for (int c = 0; c < C; c++) write(H + r * n + c * LANES, sums[r][c], width - c * LANES);
}

// R rows of H, (R, n), from column j on: += left' right; left: (depth, ROWS), right: (depth, n)
template <int R>
KKTDIFF_INLINE void update_rows(int depth, const double *left, const double *right, int n, int j, double *H) {
  for (; n - j > LANES; j += 2 * LANES) update_tile<R, 2>(depth, left, right + j, n, H + j, n - j);
  if (j < n) update_tile<R, 1>(depth, left, right + j, n, H + j, n - j);
}

// The same for `rows` rows, at most R.
template <int R = ROWS>
void update_some(int rows, int depth, const double *left, const double *right, int n, int j, double *H) {
  if constexpr (R > 1)
    if (rows < R) return update_some<R - 1>(rows, depth, left, right, n, j, H);
  update_rows<R>(depth, left, right, n, j, H);
}

constexpr int BLOCK = 1 << 15;  // entries of G that stay in the cache for all tiles of H

// Columns i to i + ROWS of rows of length n, times factor: panel (ROWS); reads and writes beyond.
KKTDIFF_INLINE void pack_row(double factor, const double *row, double *panel) {
  KKTDIFF_UNROLL for (int r = 0; r < ROWS; r += LANES) write(panel + r, Pack(factor) * read(row + r), LANES);
}

// The upper triangle of H += G' diag(w) G; w: (m) or null for ones, panel: (m, ROWS)
inline void add_gram(int m, int n, const double *G, const double *w, double *panel, double *H) {
  const int step = n > 0 && BLOCK / n > 32 ? BLOCK / n : 32;
  for (int first = 0; first < m; first += step) {
    const int depth = m - first < step ? m - first : step;
    const double *own = G + first * n;
    for (int i = 0; i < n; i += ROWS) {
      const int rows = n - i < ROWS ? n - i : ROWS;
      for (int q = 0; q < depth; q++) pack_row(w ? w[first + q] : 1.0, own + q * n + i, panel + q * ROWS);
      update_some(rows, depth, panel, own, n, i, H + i * n);
    }
  }
}

// panel = the entries -U(q, i..) of the rows q < i, (i, ROWS)
inline void negated_columns(int n, const double *U, int i, double *panel) {
  for (int q = 0; q < i; q++) pack_row(-1.0, U + q * n + i, panel + q * ROWS);
}

// R rows of B, (R, stride), from column j on become L^-1 B; U: (R, n), the triangle L'.
template <int R>
KKTDIFF_INLINE void solve_rows(int n, const double *U, int stride, int j, int count, double *B) {
  for (; j < count; j += LANES) {
    Pack v[R];
    KKTDIFF_UNROLL for (int r = 0; r < R; r++) {
      v[r] = read(B + r * stride + j);
      KKTDIFF_UNROLL for (int q = 0; q < r; q++) v[r] = fma(Pack(-U[q * n + r]), v[q], v[r]);
      v[r] = v[r] * Pack(U[r * n + r]);
      write(B + r * stride + j, v[r], count - j);
    }
  }
}

// The same for `rows` rows, at most R.
template <int R = ROWS>
void solve_some(int rows, int n, const double *U, int stride, int j, int count, double *B) {
  if constexpr (R > 1)
    if (rows < R) return solve_some<R - 1>(rows, n, U, stride, j, count, B);
  solve_rows<R>(n, U, stride, j, count, B);
}

// The triangle of `rows` rows of U on the diagonal, once the rows before have been taken from them.
inline void factor_triangle(int n, int rows, double *U, Pivots<double> &pivots) {
  for (int r = 0; r < rows; r++) {
    for (int q = 0; q < r; q++)
      for (int c = r; c < rows; c++) U[r * n + c] = fma(-U[q * n + r], U[q * n + c], U[r * n + c]);
    const bool good = U[r * n + r] > 0.0;
    const double pivot = good ? U[r * n + r] : 1.0, inverse = 1.0 / sqrt(pivot);
    pivots.ok = pivots.ok && good;
    pivots.low = min(pivots.low, pivot), pivots.high = max(pivots.high, pivot);
    for (int c = r + 1; c < rows; c++) U[r * n + c] *= inverse;
    U[r * n + r] = inverse;
  }
}

inline Pivots<double> cholesky(int n, double *H, double *panel) {
  Pivots<double> pivots{true, __builtin_inf(), 0.0};
  for (int i = 0; i < n; i += ROWS) {
    const int rows = n - i < ROWS ? n - i : ROWS;
    double *own = H + i * n;
    negated_columns(n, H, i, panel);
    update_some(rows, i, panel, H, n, i, own);
    factor_triangle(n, rows, own + i, pivots);
    solve_some(rows, n, own + i, n, i + rows, n, own);
  }
  return pivots;
}

// B, (n, count), becomes L^-1 B.
inline void forward(int n, const double *U, int count, double *B, double *panel) {
  for (int i = 0; i < n; i += ROWS) {
    const int rows = n - i < ROWS ? n - i : ROWS;
    negated_columns(n, U, i, panel);
    update_some(rows, i, panel, B, count, 0, B + i * count);
    solve_some(rows, n, U + i * n + i, count, 0, count, B + i * count);
  }
}

// y, (n), becomes L^-1 y.
inline void forward_one(int n, const double *U, double *y) {
  for (int i = 0; i < n; i += DEPTH) {
    const int rows = n - i < DEPTH ? n - i : DEPTH, next = i + rows;
    const double *own = U + i * n;
    double taken[DEPTH];
    for (int r = 0; r < rows; r++) {
      for (int q = 0; q < r; q++) y[i + r] = fma(taken[q], own[q * n + i + r], y[i + r]);
      y[i + r] *= own[r * n + i + r];
      taken[r] = -y[i + r];
    }
    if (rows == DEPTH) add_rows<DEPTH>(n - next, taken, own + next, n, y + next);
  }
}

// v, (n), becomes L'^-1 v.
inline void backward(int n, const double *U, double *v) {
  for (int end = n; end > 0; end -= DEPTH) {
    const int rows = end < DEPTH ? end : DEPTH, i = end - rows;
    const double *own = U + i * n;
    double sums[DEPTH] = {};
    if (rows == DEPTH) dot_rows<DEPTH>(n - end, own + end, n, v + end, sums);
    else
      for (int r = 0; r < rows; r++) dot_rows<1>(n - end, own + r * n + end, n, v + end, sums + r);
    for (int r = rows - 1; r >= 0; r--) {
      for (int q = r + 1; q < rows; q++) sums[r] = fma(own[r * n + i + q], v[i + q], sums[r]);
      v[i + r] = (v[i + r] - sums[r]) * own[r * n + i + r];
    }
  }
}

#endif

}  // namespace
}  // namespace kktdiff
