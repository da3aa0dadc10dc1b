// The linear algebra of linear.hpp by a team of a CUDA device.
//
// A factor is kept as a symmetric matrix: L' above the diagonal, L below, and on the diagonal
// squares of SQUARE rows, the inverses of L' and L's own, so that a solve is a few products and
// reads rows only. The diagonal itself holds 1/l_jj.
#pragma once
#include "device_product.hpp"

namespace kktdiff {
namespace {

constexpr bool UPPER = true;  // the triangle of one problem's matrices that is used
constexpr int SQUARE = 20;    // rows that are factored at a time, at most those of a warp

KKTDIFF_INLINE double from_lane(double value, int lane) {
  return __shfl_sync(0xffffffffu, value, lane);
}

// Do f(i, i + 1, own) for each i below `count`, a row of a matrix that a warp takes.
template <class F>
KKTDIFF_INLINE void split(Work<double> work, int count, bool, int, int, F f) {
  for (int i : each_row(count)) f(i, i + 1, work.panel);
}

// Largest |v_i|.
KKTDIFF_APART double norm_inf(int n, const double *v) {
  if (n == 0) return 0.0;
  double own = 0.0;
  for (int i : each_share(n)) own = max(abs(v[i]), own);
  return max_of_all(own);
}

// The sums of four numbers each over a warp: of number (lane / 8) in each lane.
KKTDIFF_INLINE double sum_four(const double (&own)[4]) {
  const int lane = lane_of_warp();
  double half[2], out;
  KKTDIFF_UNROLL for (int r = 0; r < 2; r++) {
    const double other = __shfl_xor_sync(0xffffffffu, lane & 16 ? own[r] : own[r + 2], 16);
    half[r] = (lane & 16 ? own[r + 2] : own[r]) + other;
  }
  out = __shfl_xor_sync(0xffffffffu, lane & 8 ? half[0] : half[1], 8);
  out = (lane & 8 ? half[1] : half[0]) + out;
  KKTDIFF_UNROLL for (int bits = 4; bits > 0; bits /= 2) out += __shfl_xor_sync(0xffffffffu, out, bits);
  return out;
}

// out = A x, A: (m, n): a thread for each row where rows are short, else a warp for four.
KKTDIFF_APART void times(Team *, int m, int n, const double *A, const double *x, double *out) {
  if (n <= WARP) {
    for (int i : each_entry(m)) {
      double sum = 0.0;
      for (int j = 0; j < n; j++) sum = fma(A[i * n + j], x[j], sum);
      out[i] = sum;
    }
    return;
  }
  for (int four : each_row((m + 3) / 4)) {
    const int i = four * 4, rows = m - i < 4 ? m - i : 4;
    double sums[4] = {};
    for (int j : each_column(n)) {
      const double own = x[j];
      KKTDIFF_UNROLL for (int r = 0; r < 4; r++)
        if (r < rows) sums[r] = fma(A[(i + r) * n + j], own, sums[r]);
    }
    const double sum = sum_four(sums);
    if (lane_of_warp() % 8 == 0 && lane_of_warp() / 8 < rows) out[i + lane_of_warp() / 8] = sum;
  }
}

// out += A' z, A: (m, n): a lane for each column; rows are shared by the lanes and the warps that
// columns leave over, `groups` of them.
KKTDIFF_APART void add_transposed(Team *, int m, int n, const double *A, const double *z, double *out) {
  if (m == 0 || n == 0) return;
  int width = WARP;
  while (width > 1 && width / 2 >= n) width /= 2;
  const int chunks = (n + width - 1) / width;
  const int groups = chunks < WARPS ? WARPS / chunks : 1, lane = lane_of_warp();
  double sum = 0.0;
  for (int item = warp_of_team(); item < groups * chunks; item += WARPS) {
    const int j = item % chunks * width + lane % width;
    sum = 0.0;
    for (int i = item / chunks * (WARP / width) + lane / width; i < m; i += groups * (WARP / width))
      if (j < n) sum = fma(A[i * n + j], z[i], sum);
    for (int bits = width; bits < WARP; bits *= 2)
      sum += __shfl_xor_sync(0xffffffffu, sum, bits);
    if (groups == 1 && lane < width && j < n) out[j] += sum;
  }
  if constexpr (WARPS > 1) {
    __shared__ double sums[TEAM];
    if (groups > 1) {
      sums[rank()] = sum;
      meet();
      for (int g = 0; g < groups && rank() < n; g++)
        out[rank()] += sums[(g * chunks + rank() / width) * WARP + rank() % width];
    }
  }
  meet();
}

// H += G' diag(w) G, the upper triangle; G: (m, n), w: (m) or null for ones
inline void add_gram(int m, int n, const double *G, const double *w, Work<double>, double *H) {
  add_product({m, n, n, G, G, n, n, w, 1.0, H, n, true});
}

// A warp: the square (size, size) on the diagonal of H becomes the inverses of its factor and of
// that one's transpose.
//
// Lane r has row r: in column c and those before, of the inverse as far as it is known, else of
// what is left of the square.
KKTDIFF_APART void invert_square(int size, int n, double *H, Pivots<double> &pivots) {
  const int r = lane_of_warp();
  double t[SQUARE];
  KKTDIFF_UNROLL for (int c = 0; c < SQUARE; c++) t[c] = c <= r && r < size ? H[c * n + r] : 0.0;
  KKTDIFF_UNROLL for (int c = 0; c < SQUARE; c++) {
    if (c >= size) continue;
    const double given = from_lane(t[c], c);
    const bool good = given > 0.0, below = r > c;
    const double pivot = good ? given : 1.0, inverse = ::rsqrt(pivot), own = t[c] * inverse;
    pivots.ok = pivots.ok && good;
    pivots.low = min(pivots.low, pivot), pivots.high = max(pivots.high, pivot);
    KKTDIFF_UNROLL for (int q = 0; q < SQUARE; q++) {
      if (q == c) continue;
      const double other = q < c ? from_lane(t[q], c) * inverse : from_lane(own, q);
      t[q] = below ? fma(-own, other, t[q]) : q < c && r == c ? other : t[q];
    }
    t[c] = below ? -own * inverse : r == c ? inverse : t[c];
  }
  KKTDIFF_UNROLL for (int c = 0; c < SQUARE; c++)
    if (c <= r && r < size) H[c * n + r] = H[r * n + c] = t[c];
}

// B, (size, count), becomes M B, M the inverse of the factor of a square: a warp takes 8 columns,
// and four lanes each of them. B's rows are `stride` apart.
KKTDIFF_APART void times_square(int size, int n, const double *square, int count, int stride, double *B) {
  if (count == 0) return;
  constexpr int COLUMNS = 8, PARTS = WARP / COLUMNS, ROWS = SQUARE / PARTS;
  static_assert(SQUARE % PARTS == 0, "each lane has as many rows");
  const int part = lane_of_warp() / COLUMNS;
  for (int first = warp_of_team() * COLUMNS; first < count; first += WARPS * COLUMNS) {
    const int j = first + lane_of_warp() % COLUMNS;
    double sums[ROWS] = {};
    for (int q = 0; q < size; q++) {
      const double own = j < count ? B[q * stride + j] : 0.0;
      KKTDIFF_UNROLL for (int r = 0; r < ROWS; r++) {
        const int i = part + PARTS * r;
        if (q <= i && i < size) sums[r] = fma(square[q * n + i], own, sums[r]);
      }
    }
    __syncwarp();  // all have read
    KKTDIFF_UNROLL for (int r = 0; r < ROWS; r++)
      if (part + PARTS * r < size && j < count) B[(part + PARTS * r) * stride + j] = sums[r];
  }
  meet();
}

// B, (n, count), becomes L^-1 B.
KKTDIFF_APART void forward(int n, const double *L, int count, double *B, Work<double>) {
  for (int top = 0, end = 0; top < n; top = end) {
    end = n - top < SQUARE ? n : top + SQUARE;
    const double *own = L + top * n;
    times_square(end - top, n, own + top, count, count, B + top * count);
    add_product({end - top, n - end, count, own + end, B + top * count, n, count, nullptr, -1.0,
                 B + end * count, count, false});
  }
}

KKTDIFF_INLINE double *pivots_of_team() {  // of a block
  __shared__ double pivots[3];
  return pivots;
}

// Factor H = L L' in place, from its upper triangle.
KKTDIFF_APART Pivots<double> cholesky(int n, double *H, Work<double>) {
  Pivots<double> pivots{true, __builtin_inf(), 0.0};
  if (n == 0) return pivots;
  for (int top = 0, end = 0; top < n; top = end) {
    end = n - top < SQUARE ? n : top + SQUARE;
    double *own = H + top * n;
    if (warp_of_team() == 0) invert_square(end - top, n, own + top, pivots);
    meet();
    times_square(end - top, n, own + top, n - end, n, own + end);
    add_product({end - top, n - end, n - end, own + end, own + end, n, n, nullptr, -1.0,
                 H + end * n + end, n, true});
  }
  double *all = pivots_of_team();
  if (WARPS > 1 && rank() == 0) all[0] = pivots.ok, all[1] = pivots.low, all[2] = pivots.high;
  for (int i : each_row(n))
    for (int j : each_column(i / SQUARE * SQUARE)) H[i * n + j] = H[j * n + i];
  return WARPS > 1 ? Pivots<double>{all[0] > 0.0, all[1], all[2]} : pivots;
}

// v, (n), becomes L^-1 v, or L'^-1 v if not DOWN: square by square, each of which gives its part of
// the solution, in every warp, and takes it from the entries that follow.
template <bool DOWN>
KKTDIFF_APART void substitute(int n, const double *L, double *v) {
  const int squares = (n + SQUARE - 1) / SQUARE, i = lane_of_warp();
  for (int step = 0; step < squares; step++) {
    const int top = (DOWN ? step : squares - 1 - step) * SQUARE;
    const int size = n - top < SQUARE ? n - top : SQUARE;
    const int first = DOWN ? top + size : 0, last = DOWN ? n : top;
    const double *own = L + top * n;
    double x = 0.0;
    for (int q = 0; q < size; q++)
      if (i < size && (DOWN ? q <= i : q >= i)) x = fma(own[q * n + top + i], v[top + q], x);
    for (int start = first + warp_of_team() * WARP; start < last; start += TEAM) {
      const int j = start + i;
      double sum = 0.0;
      for (int q = 0; q < size; q++) {
        const double other = from_lane(x, q);
        if (j < last) sum = fma(own[q * n + j], other, sum);
      }
      if (j < last) v[j] -= sum;
    }
    meet();
    if (warp_of_team() == 0 && i < size) v[top + i] = x;
  }
  if (n > 0) meet();
}

// v, (n), becomes L^-1 v.
inline void forward_one(int n, const double *L, double *v) { substitute<true>(n, L, v); }

// v becomes L'^-1 v.
inline void backward(int n, const double *L, double *v) { substitute<false>(n, L, v); }

}  // namespace
}  // namespace kktdiff
