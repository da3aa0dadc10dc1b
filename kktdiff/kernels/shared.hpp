// The products and factorizations of one problem, T = double, that threads may share.
//
// Each entry of a result is one chain of operations, whatever the pieces and whoever takes them, so
// that no bit depends on the number of threads.
#pragma once
#include "dense.hpp"

namespace kktdiff {
namespace {

#if !defined(__CUDACC__)

constexpr int MATRIX_PRODUCTS =
    1 << 20;                     // fused operations that are worth sharing: they take 40 us
constexpr int PIECE = 8 * ROWS;  // rows of a triangle that a thread takes
constexpr int BLOCK = 96;        // rows that are factored at a time

// Do f(i, own) for each i below `count`, by the threads of `work`.
template <class F>
void each(Work<double> work, int count, F f) {
  if (work.team && count > 1) {
    const Team::Task task = [](void *data, int i, double *own) {
      (*static_cast<F *>(data))(i, own);
    };
    return work.team->each(work.team, task, &f, count, work.panel);
  }
  for (int i = 0; i < count; i++) f(i, work.panel);
}

// Do f(first, last, own) for pieces of 0 to count - 1, multiples of `unit`: `pieces` for each
// thread; all at once where that is not worth it.
template <class F>
void split(Work<double> work, int count, bool worth, int unit, int pieces, F f) {
  if (!work.team || !worth) return f(0, count, work.panel);
  const int most = pieces * work.team->threads;
  const int size = ((count + most - 1) / most + unit - 1) / unit * unit;
  each(work, (count + size - 1) / size, [=](int i, double *own) {
    f(i * size, (i + 1) * size < count ? (i + 1) * size : count, own);
  });
}

// out = A x, A: (m, n)
inline void times(Team *team, int m, int n, const double *A, const double *x, double *out) {
  split({nullptr, team}, m, is_large(m, n), DEPTH, 1, [=](int i, int last, double *) {
    for (; i + DEPTH <= last; i += DEPTH) dot_rows<DEPTH>(n, A + i * n, n, x, out + i);
    for (; i < last; i++) dot_rows<1>(n, A + i * n, n, x, out + i);
  });
}

// out += A' z, A: (m, n)
inline void add_transposed(Team *team, int m, int n, const double *A, const double *z,
                           double *out) {
  split({nullptr, team}, n, is_large(m, n), 8, 1, [=](int j, int last, double *) {
    int i = 0;
    for (; i + DEPTH <= m; i += DEPTH) add_rows<DEPTH>(last - j, z + i, A + i * n + j, n, out + j);
    for (; i < m; i++) add_rows<1>(last - j, z + i, A + i * n + j, n, out + j);
  });
}

constexpr int GRAM_ENTRIES = 1 << 15;  // of G, which stay in the cache for all tiles of H

// Rows top to bottom - 1 of the upper triangle of H += G' diag(w) G; panel: (m, ROWS)
//
// Rows of a tile that are zero, as most are of a sparse G, add nothing.
inline void add_gram_rows(int m, int n, const double *G, const double *w, int top, int bottom,
                          double *panel, double *H) {
  const int step = GRAM_ENTRIES / n > 32 ? GRAM_ENTRIES / n : 32;
  for (int first = 0; first < m; first += step) {
    const int depth = m - first < step ? m - first : step;
    const double *own = G + first * n;
    for (int i = top; i < bottom; i += ROWS) {
      const int rows = n - i < ROWS ? n - i : ROWS;
      for (int q = 0, run = 0; q <= depth; q++) {
        if (q < depth) {
          const double weight = w ? w[first + q] : 1.0;
          if (pack_row(weight, own + q * n + i, rows, panel + q * ROWS)) continue;
        }
        if (q > run)
          update_some(rows, q - run, panel + run * ROWS, own + run * n + i, n, n - i,
                      H + i * n + i);
        run = q + 1;
      }
    }
  }
}

// The upper triangle of H += G' diag(w) G; w: (m) or null for ones
inline void add_gram(int m, int n, const double *G, const double *w, Work<double> work, double *H) {
  if (!work.team || (long long)m * n * n / 2 < MATRIX_PRODUCTS)
    return n ? add_gram_rows(m, n, G, w, 0, n, work.panel, H) : void();
  each(work, (n + PIECE - 1) / PIECE, [=](int piece, double *own) {
    const int top = piece * PIECE;
    add_gram_rows(m, n, G, w, top, n - top < PIECE ? n : top + PIECE, own, H);
  });
}

// Rows top to bottom - 1 of B, (n, count), in columns j to last - 1 become those of L^-1 B, once
// the rows before `top` have been taken from them.
inline void solve_block(int n, const double *U, int top, int bottom, int count, int j, int last,
                        double *B, double *panel) {
  for (int i = top; i < bottom; i += ROWS) {
    const int rows = bottom - i < ROWS ? bottom - i : ROWS;
    negated_columns(n, U, top, i, rows, panel);
    update_some(rows, i - top, panel, B + top * count + j, count, last - j, B + i * count + j);
    solve_some(rows, n, U + i * n + i, count, j, last, B + i * count);
  }
}

// B, (n, count), becomes L^-1 B.
inline void forward(int n, const double *U, int count, double *B, Work<double> work) {
  const bool worth = (long long)n * n / 2 * count >= MATRIX_PRODUCTS;
  split(work, count, worth, LANES, count < 256 ? 1 : 2,
        [=](int j, int last, double *own) { solve_block(n, U, 0, n, count, j, last, B, own); });
}

// Factor the square of rows and columns top to bottom - 1, once the rows before have been taken.
inline void factor_square(int n, int top, int bottom, double *H, double *panel,
                          Pivots<double> &pivots) {
  for (int i = top; i < bottom; i += ROWS) {
    const int rows = bottom - i < ROWS ? bottom - i : ROWS;
    double *own = H + i * n;
    negated_columns(n, H, top, i, rows, panel);
    update_some(rows, i - top, panel, H + top * n + i, n, bottom - i, own + i);
    factor_triangle(n, rows, own + i, pivots);
    solve_some(rows, n, own + i, n, i + rows, bottom, own);
  }
}

// Take the rows `first` to top - 1 of U from rows top to bottom - 1 of H, from column j or the
// diagonal on, to column last - 1.
inline void take_rows(int n, int first, int top, int bottom, int taken, int j, int last, double *H,
                      double *panel) {
  for (int i = top; i < bottom; i += ROWS) {
    const int rows = bottom - i < ROWS ? bottom - i : ROWS;
    const int left = j > i ? j : i;
    for (int q = 0; q < taken; q++) pack_row(-1.0, H + (first + q) * n + i, rows, panel + q * ROWS);
    update_some(rows, taken, panel, H + first * n + left, n, last - left, H + i * n + left);
  }
}

// Factor H = L L' in place, the upper triangle: in one go, or blocks of rows one after the other.
//
// While threads take a block from the rows below it, one of them factors the next one's square.
inline Pivots<double> cholesky(int n, double *H, Work<double> work) {
  Pivots<double> pivots{true, __builtin_inf(), 0.0};
  const bool shared = work.team && (long long)n * n * n / 6 >= MATRIX_PRODUCTS;
  const int size = shared ? BLOCK : n;
  factor_square(n, 0, size < n ? size : n, H, work.panel, pivots);
  for (int top = 0, end = size; end < n; top = end, end += size) {
    const int next = end + size < n ? end + size : n;
    split(work, n - end, true, LANES, 1, [=](int j, int last, double *own) {
      solve_block(n, H, top, end, n, end + j, end + last, H, own);
    });
    const int count = 1 + (n - end + PIECE / 2 - 1) / (PIECE / 2);
    each(work, count, [=, &pivots](int piece, double *own) {
      if (piece == 0) {
        take_rows(n, top, end, next, size, end, next, H, own);
        return factor_square(n, end, next, H, own, pivots);
      }
      const int first = end + (piece - 1) * (PIECE / 2);
      const int last = n - first < PIECE / 2 ? n : first + PIECE / 2;
      take_rows(n, top, first, last, size, first < next ? next : first, n, H, own);
    });
  }
  return pivots;
}

#endif

}  // namespace
}  // namespace kktdiff
