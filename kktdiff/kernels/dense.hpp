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

KKTDIFF_INLINE double sum(Pack a) {
  double out = a.v[0];
  for (int l = 1; l < LANES; l++) out += a.v[l];
  return out;
}

// sum_j a_j b_j
inline double dot_rows(int n, const double *a, const double *b) {
  Pack sums[2] = {0.0, 0.0};
  int j = 0;
  for (; j + 2 * LANES <= n; j += 2 * LANES) {
    sums[0] = fma(read(a + j), read(b + j), sums[0]);
    sums[1] = fma(read(a + j + LANES), read(b + j + LANES), sums[1]);
  }
  double out = sum(sums[0] + sums[1]);
  for (; j < n; j++) out = fma(a[j], b[j], out);
  return out;
}

// out += factor * row
KKTDIFF_INLINE void add_row(int n, double factor, const double *row, double *out) {
  int j = 0;
  for (; j + LANES <= n; j += LANES)
    write(out + j, fma(Pack(factor), read(row + j), read(out + j)), LANES);
  for (; j < n; j++) out[j] = fma(factor, row[j], out[j]);
}

inline void times(int m, int n, const double *A, const double *x, double *out) {
  for (int i = 0; i < m; i++) out[i] = dot_rows(n, A + i * n, x);
}

inline void add_transposed(int m, int n, const double *A, const double *z, double *out) {
  for (int i = 0; i < m; i++) add_row(n, z[i], A + i * n, out);
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

// The upper triangle of H += G' diag(w) G; w: (m) or null for ones, panel: (m, ROWS)
inline void add_gram(int m, int n, const double *G, const double *w, double *panel, double *H) {
  const int step = n > 0 && BLOCK / n > 32 ? BLOCK / n : 32;
  for (int first = 0; first < m; first += step) {
    const int depth = m - first < step ? m - first : step;
    const double *own = G + first * n;
    for (int i = 0; i < n; i += ROWS) {
      const int rows = n - i < ROWS ? n - i : ROWS;
      for (int q = 0; q < depth; q++)
        for (int r = 0; r < rows; r++)
          panel[q * ROWS + r] = (w ? w[first + q] : 1.0) * own[q * n + i + r];
      update_some(rows, depth, panel, own, n, i, H + i * n);
    }
  }
}

// panel = the entries -U(q, i..) of the rows q < i, (i, ROWS)
inline void negated_columns(int n, const double *U, int i, int rows, double *panel) {
  for (int q = 0; q < i; q++)
    for (int r = 0; r < rows; r++) panel[q * ROWS + r] = -U[q * n + i + r];
}

// Rows i to i + rows - 1 of U, once the rows before have been taken from them.
inline void finish_rows(int n, int i, int rows, double *H, Pivots<double> &pivots) {
  for (int r = i; r < i + rows; r++) {
    for (int q = i; q < r; q++) add_row(n - r, -H[q * n + r], H + q * n + r, H + r * n + r);
    const bool good = H[r * n + r] > 0.0;
    const double pivot = good ? H[r * n + r] : 1.0, inverse = 1.0 / sqrt(pivot);
    pivots.ok = pivots.ok && good;
    pivots.low = min(pivots.low, pivot), pivots.high = max(pivots.high, pivot);
    for (int j = r + 1; j < n; j++) H[r * n + j] *= inverse;
    H[r * n + r] = inverse;
  }
}

inline Pivots<double> cholesky(int n, double *H, double *panel) {
  Pivots<double> pivots{true, __builtin_inf(), 0.0};
  for (int i = 0; i < n; i += ROWS) {
    const int rows = n - i < ROWS ? n - i : ROWS;
    negated_columns(n, H, i, rows, panel);
    update_some(rows, i, panel, H, n, i, H + i * n);
    finish_rows(n, i, rows, H, pivots);
  }
  return pivots;
}

// y, (n), becomes L^-1 y.
inline void forward_one(int n, const double *U, double *y) {
  for (int q = 0; q < n; q++) {
    y[q] *= U[q * n + q];
    add_row(n - q - 1, -y[q], U + q * n + q + 1, y + q + 1);
  }
}

// B, (n, count), becomes L^-1 B.
inline void forward(int n, const double *U, int count, double *B, double *panel) {
  for (int i = 0; i < n; i += ROWS) {
    const int rows = n - i < ROWS ? n - i : ROWS;
    negated_columns(n, U, i, rows, panel);
    update_some(rows, i, panel, B, count, 0, B + i * count);
    for (int r = i; r < i + rows; r++) {
      for (int q = i; q < r; q++) add_row(count, -U[q * n + r], B + q * count, B + r * count);
      for (int c = 0; c < count; c++) B[r * count + c] *= U[r * n + r];
    }
  }
}

inline void backward(int n, const double *U, double *v) {
  for (int i = n - 1; i >= 0; i--)
    v[i] = (v[i] - dot_rows(n - i - 1, U + i * n + i + 1, v + i + 1)) * U[i * n + i];
}

#endif

}  // namespace
}  // namespace kktdiff
