// The linear algebra of linear.hpp for one problem, T = double: vectors lie along rows.
//
// A factor's upper triangle holds U = L', so that rows of it are contiguous; the diagonal holds
// 1/u_jj.
#pragma once
#if defined(__CUDACC__)
#include "device_dense.hpp"
#else
#include "linear.hpp"

namespace kktdiff {
namespace {

constexpr int ROWS = LANES == 8 ? 6 : LANES == 4 ? 4 : 3;  // of a tile of 2 vectors

constexpr int PANEL = ROWS > TILE ? ROWS : TILE;
constexpr bool UPPER = true;  // the triangle of one problem's matrices that is used

// What products take of the memory of each thread, for matrices of so many rows and columns in all.
KKTDIFF_INLINE long long panel_entries(int lengths) { return (long long)lengths * PANEL + LANES; }

KKTDIFF_INLINE Pack read(const double *from) {
  typedef double Loose __attribute__((vector_size(8 * LANES), aligned(8), __may_alias__));
  return Vector(*reinterpret_cast<const Loose *>(from));
}

// The first `count` entries from `from` on, and 0 for the others, which are not touched.
KKTDIFF_INLINE Pack read_some(const double *from, int count) {
#if defined(__AVX512F__) && LANES == 8
  return Vector(_mm512_maskz_loadu_pd(__mmask8(count < LANES ? (1 << count) - 1 : 0xFF), from));
#elif defined(__AVX2__) && LANES == 4
  return Vector(_mm256_maskload_pd(
      from, _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3))));
#else
  Pack out = 0.0;
  for (int l = 0; l < LANES; l++)
    if (l < count) out.v[l] = from[l];
  return out;
#endif
}

KKTDIFF_INLINE void write(double *to, Pack value, int count) {
  typedef double Loose __attribute__((vector_size(8 * LANES), aligned(8), __may_alias__));
  if (count >= LANES)
    *reinterpret_cast<Loose *>(to) = value.v;
  else
    for (int l = 0; l < count; l++) to[l] = value.v[l];
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

// The tile H += left' right of R rows and C vectors, the last of them up to column `width` alone;
// left: (depth, ROWS), right: (depth, ...), their rows and those of H n apart.
template <int R, int C, bool WHOLE>
KKTDIFF_INLINE void update_tile(int depth, const double *left, const double *right, int n, double *H, int width) {
  const int last = (C - 1) * LANES;
  Pack sums[R][C];
  KKTDIFF_UNROLL for (int r = 0; r < R; r++) {
    KKTDIFF_UNROLL for (int c = 0; c < C - 1; c++) sums[r][c] = read(H + r * n + c * LANES);
    sums[r][C - 1] = WHOLE ? read(H + r * n + last) : read_some(H + r * n + last, width - last);
  }
  for (int q = 0; q < depth; q++, right += n) {
    Pack own[C];
    KKTDIFF_UNROLL for (int c = 0; c < C - 1; c++) own[c] = read(right + c * LANES);
    own[C - 1] = WHOLE ? read(right + last) : read_some(right + last, width - last);
    KKTDIFF_UNROLL for (int r = 0; r < R; r++)
      KKTDIFF_UNROLL for (int c = 0; c < C; c++) sums[r][c] = fma(Pack(left[q * ROWS + r]), own[c], sums[r][c]);
  }
  KKTDIFF_UNROLL for (int r = 0; r < R; r++)
    KKTDIFF_UNROLL for (int c = 0; c < C; c++) write(H + r * n + c * LANES, sums[r][c], WHOLE ? LANES : width - c * LANES);
}

// `rows` rows, at most R, and `width` columns of H: += left' right
template <int R = ROWS>
void update_some(int rows, int depth, const double *left, const double *right, int n, int width, double *H) {
  if constexpr (R > 1)
    if (rows < R) return update_some<R - 1>(rows, depth, left, right, n, width, H);
  int j = 0;
  for (; width - j >= 2 * LANES; j += 2 * LANES) update_tile<R, 2, true>(depth, left, right + j, n, H + j, 0);
  if (width - j > LANES) update_tile<R, 2, false>(depth, left, right + j, n, H + j, width - j);
  else if (width > j) update_tile<R, 1, false>(depth, left, right + j, n, H + j, width - j);
}

// The first `rows` entries, at most ROWS, times factor: panel (ROWS); writes beyond. Return False if
// all are zero.
KKTDIFF_INLINE bool pack_row(double factor, const double *row, int rows, double *panel) {
  bool some = false;
  KKTDIFF_UNROLL for (int r = 0; r < ROWS; r += LANES) {
    const Pack own = Pack(factor) * read_some(row + r, rows - r);
    write(panel + r, own, LANES);
    some = some | !all(own == Pack(0.0));
  }
  return some;
}

// panel = the entries -U(q, i..) of the rows `first` to i - 1, (i - first, ROWS)
inline void negated_columns(int n, const double *U, int first, int i, int rows, double *panel) {
  for (int q = first; q < i; q++, panel += ROWS) pack_row(-1.0, U + q * n + i, rows, panel);
}

// R rows of B, (R, stride), from column j to `end` - 1 become L^-1 B; U: (R, n), the triangle L'.
template <int R, bool WHOLE>
KKTDIFF_INLINE void solve_vector(int n, const double *U, int stride, double *B, int width) {
  Pack v[R];
  KKTDIFF_UNROLL for (int r = 0; r < R; r++) {
    v[r] = WHOLE ? read(B + r * stride) : read_some(B + r * stride, width);
    KKTDIFF_UNROLL for (int q = 0; q < r; q++) v[r] = fma(Pack(-U[q * n + r]), v[q], v[r]);
    v[r] = v[r] * Pack(U[r * n + r]);
    write(B + r * stride, v[r], WHOLE ? LANES : width);
  }
}

// The same for `rows` rows, at most R.
template <int R = ROWS>
void solve_some(int rows, int n, const double *U, int stride, int j, int end, double *B) {
  if constexpr (R > 1)
    if (rows < R) return solve_some<R - 1>(rows, n, U, stride, j, end, B);
  for (; end - j >= LANES; j += LANES) solve_vector<R, true>(n, U, stride, B + j, LANES);
  if (j < end) solve_vector<R, false>(n, U, stride, B + j, end - j);
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

}  // namespace
}  // namespace kktdiff
#endif
