// Dense linear algebra on row-major matrices, by register tiles.
//
// Each entry of a result is the same sequence of fused operations whatever the tiles, so its bits
// depend neither on the number of lanes nor on the instruction set, wherever there is an fma.
#pragma once
#include "call.hpp"
#include "pack.hpp"

namespace kktdiff {
namespace {

// What products of matrices work with: memory of one thread, and the threads that help, or NULL.
template <class T>
struct Work {
  T *panel;
  Team *team = nullptr;
};

// Pivots of a factorization: where all were positive, and their range.
template <class T>
struct Pivots {
  Mask<T> ok;
  T low, high;
};

// Where a pass over a matrix of so many entries is worth sharing: it takes 15 us or more.
constexpr int PASS_ENTRIES = 1 << 16;
KKTDIFF_INLINE bool is_large(long long rows, long long cols) { return rows * cols >= PASS_ENTRIES; }

#if !defined(__CUDACC__)  // a device has one problem at a time; see dense.hpp

// Do f(first, last, panel) for all of `count` at once; for T = double see shared.hpp.
template <class T, class F>
KKTDIFF_INLINE void split(Work<T> work, int count, bool, int, int, F f) {
  f(0, count, work.panel);
}

constexpr int TILE = LANES == 8 ? 4 : 3;  // as many tiles of accumulators as there are registers

// Call f<R>(...) with R = min(TILE, rest).
// clang-format off
#define KKTDIFF_WITH_SIZE(rest, call)                 \
  switch ((rest) < TILE ? (rest) : TILE) {            \
    case 1: { constexpr int R = 1; call; break; }     \
    case 2: { constexpr int R = 2; call; break; }     \
    case 3: { constexpr int R = 3; call; break; }     \
    default: { constexpr int R = TILE; call; break; } \
  }
// clang-format on

template <int R, class T>
KKTDIFF_INLINE void times_rows(int n, const T *A, const T *x, T *out) {
  T sum[R];
  KKTDIFF_UNROLL for (int r = 0; r < R; r++) sum[r] = 0.0;
  for (int j = 0; j < n; j++)
    KKTDIFF_UNROLL for (int r = 0; r < R; r++) sum[r] = fma(A[r * n + j], x[j], sum[r]);
  KKTDIFF_UNROLL for (int r = 0; r < R; r++) out[r] = sum[r];
}

// out = A x, A: (m, n)
template <class T>
void times(Team *, int m, int n, const T *A, const T *x, T *out) {
  for (int i = 0; i < m; i += TILE) KKTDIFF_WITH_SIZE(m - i, times_rows<R>(n, A + i * n, x, out + i))
}

template <int R, class T>
KKTDIFF_INLINE void add_rows(int n, const T *A, const T *z, T *out) {
  for (int j = 0; j < n; j++) {
    T sum = out[j];
    KKTDIFF_UNROLL for (int r = 0; r < R; r++) sum = fma(A[r * n + j], z[r], sum);
    out[j] = sum;
  }
}

// out += A' z, A: (m, n)
template <class T>
void add_transposed(Team *, int m, int n, const T *A, const T *z, T *out) {
  for (int i = 0; i < m; i += TILE) KKTDIFF_WITH_SIZE(m - i, add_rows<R>(n, A + i * n, z + i, out))
}

template <int R, int C, class T>
KKTDIFF_INLINE void gram_tile(int m, int n, const T *panel, const T *right, T *H) {
  T sum[R][C];
  KKTDIFF_UNROLL for (int r = 0; r < R; r++) KKTDIFF_UNROLL for (int c = 0; c < C; c++) sum[r][c] = H[r * n + c];
  for (int q = 0; q < m; q++)
    KKTDIFF_UNROLL for (int c = 0; c < C; c++) {
      const T own = right[q * n + c];
      KKTDIFF_UNROLL for (int r = 0; r < R; r++) sum[r][c] = fma(panel[q * TILE + r], own, sum[r][c]);
    }
  KKTDIFF_UNROLL for (int r = 0; r < R; r++) KKTDIFF_UNROLL for (int c = 0; c < C; c++) H[r * n + c] = sum[r][c];
}

template <int R, class T>
KKTDIFF_INLINE void gram_rows(int m, int n, const T *G, const T *w, int i, T *panel, T *H) {
  for (int q = 0; q < m; q++)
    KKTDIFF_UNROLL for (int r = 0; r < R; r++) panel[q * TILE + r] = w ? w[q] * G[q * n + i + r] : G[q * n + i + r];
  for (int j = 0; j < i; j += TILE) gram_tile<R, TILE>(m, n, panel, G + j, H + i * n + j);
  gram_tile<R, R>(m, n, panel, G + i, H + i * n + i);
}

// H += G' diag(w) G, the lower triangle; G: (m, n), w: (m) or null for ones
template <class T>
void add_gram(int m, int n, const T *G, const T *w, Work<T> work, T *H) {
  for (int i = 0; i < n; i += TILE) KKTDIFF_WITH_SIZE(n - i, gram_rows<R>(m, n, G, w, i, work.panel, H))
}

// L(i.., j..) before its division by the diagonal block: H(i.., j..) - L(i.., :j) L(j.., :j)'
template <int R, int C, class T>
KKTDIFF_INLINE void cholesky_update(const T *H, int n, int i, int j, T (&sum)[R][C]) {
  KKTDIFF_UNROLL for (int r = 0; r < R; r++)
    KKTDIFF_UNROLL for (int c = 0; c < C; c++) sum[r][c] = H[(i + r) * n + j + c];
  for (int q = 0; q < j; q++)
    KKTDIFF_UNROLL for (int c = 0; c < C; c++) {
      const T right = -H[(j + c) * n + q];
      KKTDIFF_UNROLL for (int r = 0; r < R; r++) sum[r][c] = fma(H[(i + r) * n + q], right, sum[r][c]);
    }
}

template <int C, class T>
KKTDIFF_INLINE void cholesky_diagonal(T *H, int n, int j, Pivots<T> &pivots) {
  T t[C][C];
  cholesky_update<C, C>(H, n, j, j, t);
  KKTDIFF_UNROLL for (int c = 0; c < C; c++) {
    KKTDIFF_UNROLL for (int q = 0; q < c; q++) t[c][c] = fma(t[c][q], -t[c][q], t[c][c]);
    const Mask<T> good = t[c][c] > 0.0;
    const T pivot = select(good, t[c][c], T(1.0));
    pivots.ok = pivots.ok & good;
    pivots.low = min(pivots.low, pivot), pivots.high = max(pivots.high, pivot);
    t[c][c] = T(1.0) / sqrt(pivot);
    KKTDIFF_UNROLL for (int r = c + 1; r < C; r++) {
      KKTDIFF_UNROLL for (int q = 0; q < c; q++) t[r][c] = fma(t[r][q], -t[c][q], t[r][c]);
      t[r][c] = t[r][c] * t[c][c];
    }
  }
  KKTDIFF_UNROLL for (int r = 0; r < C; r++)
    KKTDIFF_UNROLL for (int c = 0; c <= r; c++) H[(j + r) * n + j + c] = t[r][c];
}

template <int R, class T>
KKTDIFF_INLINE void cholesky_below(T *H, int n, int i, int j) {
  T t[R][TILE];
  cholesky_update<R, TILE>(H, n, i, j, t);
  KKTDIFF_UNROLL for (int c = 0; c < TILE; c++)
    KKTDIFF_UNROLL for (int r = 0; r < R; r++) {
      KKTDIFF_UNROLL for (int q = 0; q < c; q++) t[r][c] = fma(t[r][q], -H[(j + c) * n + j + q], t[r][c]);
      t[r][c] = t[r][c] * H[(j + c) * n + j + c];
      H[(i + r) * n + j + c] = t[r][c];
    }
}

// Factor H = L L' in place, the lower triangle; the diagonal holds 1/l_jj.
template <class T>
Pivots<T> cholesky(int n, T *H, Work<T>) {
  Pivots<T> pivots{mask<T>(true), T(__builtin_inf()), T(0.0)};
  for (int j = 0; j < n; j += TILE) {
    KKTDIFF_WITH_SIZE(n - j, cholesky_diagonal<R>(H, n, j, pivots))
    for (int i = j + TILE; i < n; i += TILE) KKTDIFF_WITH_SIZE(n - i, cholesky_below<R>(H, n, i, j))
  }
  return pivots;
}

template <int R, int C, class T>
KKTDIFF_INLINE void forward_tile(const T *L, int n, int i, int count, T *B) {
  T t[R][C];
  KKTDIFF_UNROLL for (int r = 0; r < R; r++)
    KKTDIFF_UNROLL for (int c = 0; c < C; c++) t[r][c] = B[(i + r) * count + c];
  for (int q = 0; q < i; q++)
    KKTDIFF_UNROLL for (int c = 0; c < C; c++) {
      const T right = -B[q * count + c];
      KKTDIFF_UNROLL for (int r = 0; r < R; r++) t[r][c] = fma(L[(i + r) * n + q], right, t[r][c]);
    }
  KKTDIFF_UNROLL for (int r = 0; r < R; r++)
    KKTDIFF_UNROLL for (int c = 0; c < C; c++) {
      KKTDIFF_UNROLL for (int q = 0; q < r; q++) t[r][c] = fma(L[(i + r) * n + i + q], -t[q][c], t[r][c]);
      B[(i + r) * count + c] = t[r][c] = t[r][c] * L[(i + r) * n + i + r];
    }
}

template <int C, class T>
KKTDIFF_INLINE void forward_columns(int n, const T *L, int count, T *B) {
  for (int i = 0; i < n; i += TILE) KKTDIFF_WITH_SIZE(n - i, (forward_tile<R, C>(L, n, i, count, B)))
}

// B, (n, count), becomes L^-1 B.
template <class T>
void forward(int n, const T *L, int count, T *B, Work<T>) {
  for (int c = 0; c < count; c += TILE) {
    switch (count - c < TILE ? count - c : TILE) {
      case 1: forward_columns<1>(n, L, count, B + c); break;
      case 2: forward_columns<2>(n, L, count, B + c); break;
      case 3: forward_columns<3>(n, L, count, B + c); break;
      default: forward_columns<TILE>(n, L, count, B + c);
    }
  }
}

// v, (n), becomes L^-1 v.
template <class T>
void forward_one(int n, const T *L, T *v) {
  forward_columns<1>(n, L, 1, v);
}

template <int R, class T>
KKTDIFF_INLINE void backward_rows(const T *L, int n, int i, T *v) {
  T t[R];
  KKTDIFF_UNROLL for (int r = R - 1; r >= 0; r--) {
    t[r] = v[i + r];
    KKTDIFF_UNROLL for (int q = R - 1; q > r; q--) t[r] = fma(L[(i + q) * n + i + r], -t[q], t[r]);
    v[i + r] = t[r] = t[r] * L[(i + r) * n + i + r];
  }
  for (int q = 0; q < i; q++) {
    T x = v[q];
    KKTDIFF_UNROLL for (int r = R - 1; r >= 0; r--) x = fma(L[(i + r) * n + q], -t[r], x);
    v[q] = x;
  }
}

// v becomes L'^-1 v.
template <class T>
void backward(int n, const T *L, T *v) {
  for (int i = (n + TILE - 1) / TILE * TILE - TILE; i >= 0; i -= TILE) KKTDIFF_WITH_SIZE(n - i, backward_rows<R>(L, n, i, v))
}

// Largest |v_i|.
template <class T>
T norm_inf(int n, const T *v) {
  return share_of_max(n, T(0.0), [&](int i) { return abs(v[i]); });
}

#endif

}  // namespace
}  // namespace kktdiff
