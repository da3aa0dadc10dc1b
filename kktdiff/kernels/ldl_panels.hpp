// L D L' by panels, for patterns that fill up: see ldl.hpp.
//
// Columns next to each other whose entries stand in the same rows, or nearly so, are a panel,
// dense: (w, w + r), w columns of U = L D, each one a row here, w of its entries in the columns of
// the panel, those left of the diagonal unused, and r in the rows below. A panel is computed at a
// time, from those before it that have rows among its columns.
#pragma once
#include "ldl_tiles.hpp"

namespace kktdiff {
namespace {

// A panel in the memory of L.
template <class T>
struct LdlPanel {
  int first, columns, below, length;  // length: columns + below, of a column
  const int *row;                     // (below)
  T *at;                              // (columns, length)

  LdlPanel(const LdlPattern &s, T *L, int p)
      : first(s.first[p]), columns(s.first[p + 1] - first), below(s.start[p + 1] - s.start[p]),
        length(columns + below), row(s.below + s.start[p]), at(L + s.entry[p]) {}
};

// Fill a panel with the entries of the matrix.
template <class T>
void fill_panel(const LdlPattern &s, int p, const LdlPanel<T> &own, const T *K, const T *diagonal,
                T *L) {
  for (int e = 0; e < own.columns * own.length; e++) own.at[e] = 0.0;
  for (int e = s.top[p]; e < s.top[p + 1]; e++) L[s.row[e]] = K[e];
  for (int i = 0; i < own.columns; i++) own.at[i * (own.length + 1)] = diagonal[own.first + i];
}

// Take a panel as take_panel does, column by column.
template <class T>
void take_few_columns(const LdlPanel<T> &of, int begin, int end, const T *pivot, const int *map,
                      T *factors, const LdlPanel<T> &own) {
  const T *U = of.at + of.columns;
  const int place = map[of.row[begin]], last = of.below - 1;
  const bool in_a_row = map[of.row[last]] - place == last - begin;
  for (int j = begin; j < end; j++) {
    T *to = own.at + (of.row[j] - own.first) * own.length;
    for (int q = 0; q < of.columns; q++) factors[q] = -U[q * of.length + j] * pivot[of.first + q];
    if (in_a_row) {
      add_columns(of.columns, of.below - j, factors, U + j, of.length, to + place + j - begin);
      continue;
    }
    for (int q = 0; q < of.columns; q++) {
      const T *row = U + q * of.length, factor = factors[q];
      for (int i = j; i < of.below; i++) {
        T &other = to[map[of.row[i]]];
        other = fma(factor, row[i], other);
      }
    }
  }
}

// Take panel `of`, with rows begin to end - 1 among the columns of `own`, from it; map: the place
// of each row in `own`.
template <class T>
void take_panel(const LdlPanel<T> &of, int begin, int end, const T *pivot, const int *map, T *panel,
                const LdlPanel<T> &own) {
  const T *U = of.at + of.columns;
  if (of.columns < 4 || of.columns * (end - begin) < 16)
    return take_few_columns(of, begin, end, pivot, map, panel, own);
  T *product = panel + tile_rows<T> * LDL_COLUMNS;
  for (int j = begin; j < end; j += tile_rows<T>) {
    const int rows = end - j < tile_rows<T> ? end - j : tile_rows<T>, width = of.below - j;
    pack_columns(of.columns, rows, pivot + of.first, U + j, of.length, panel);
    for (int r = 0; r < rows; r++)
      for (int i = 0; i < width; i++) product[r * of.length + i] = 0.0;
    update_rows(rows, of.columns, panel, U + j, of.length, width, product);
    for (int r = 0; r < rows; r++) {
      T *to = own.at + (of.row[j + r] - own.first) * own.length;
      for (int i = r; i < width; i++) {
        T &other = to[map[of.row[j + i]]];
        other = other + product[r * of.length + i];
      }
    }
  }
}

// Signs of pivots, and what stands for those that have the wrong one.
template <class T>
struct LdlSigns {
  const int *order;
  int positive;
  T least;

  // Return 1/D of the k-th pivot.
  T inverse(int k, T pivot, Mask<T> &ok) const {
    const T sign = order[k] < positive ? 1.0 : -1.0;
    const Mask<T> good = sign * pivot > T(0.0);
    ok = ok & good;
    return T(1.0) / select(good, pivot, sign * least);
  }
};

// Factor a panel from which those before have been taken.
template <class T>
void factor_panel(const LdlPanel<T> &own, const LdlSigns<T> &signs, T *panel, T *pivot,
                  Mask<T> &ok) {
  const int n = own.length;
  T *out = pivot + own.first;
  T triangle[tile_rows<T> * tile_rows<T>];
  for (int i = 0; i < own.columns; i += tile_rows<T>) {
    const int rows = own.columns - i < tile_rows<T> ? own.columns - i : tile_rows<T>;
    T *at = own.at + i * n + i;
    pack_columns(i, rows, out, own.at + i, n, panel);
    update_rows(rows, i, panel, own.at + i, n, n - i, at);
    for (int r = 0; r < rows; r++) {
      for (int q = 0; q < r; q++)
        for (int c = r; c < rows; c++)
          at[r * n + c] = fma(-triangle[q * tile_rows<T> + r], at[q * n + c], at[r * n + c]);
      out[i + r] = signs.inverse(own.first + i + r, at[r * n + r], ok);
      for (int c = r + 1; c < rows; c++)
        triangle[r * tile_rows<T> + c] = at[r * n + c] * out[i + r];
    }
    solve_rows(rows, triangle, n, rows, n - i, at);
  }
}

// Do what factor_ldl does, panel by panel.
template <class T>
Mask<T> factor_panels(const LdlPattern &s, int positive, T least, const T *K, T *pivot, T *L,
                      T *work, T *panel) {
  int *map = reinterpret_cast<int *>(work);
  const LdlSigns<T> signs{s.order, positive, least};
  Mask<T> ok = mask<T>(true);
  for (int p = 0; p < s.panels; p++) {
    const LdlPanel<T> own(s, L, p);
    fill_panel(s, p, own, K, pivot, L);
    for (int i = 0; i < own.length; i++)
      map[i < own.columns ? own.first + i : own.row[i - own.columns]] = i;
    for (int q = s.left[p]; q < s.left[p + 1]; q++) {
      const LdlPanel<T> of(s, L, s.from[q]);
      const int begin = s.at[q] - s.start[s.from[q]];
      int end = begin + 1;
      while (end < of.below && of.row[end] < own.first + own.columns) end++;
      take_panel(of, begin, end, pivot, map, panel, own);
    }
    factor_panel(own, signs, panel, pivot, ok);
  }
  return ok;
}

// Forward and backward with one panel. v: (size)
template <class T>
void forward_panel(const LdlPanel<T> &own, const T *pivot, T *panel, T *v) {
  const int w = own.columns;
  T *x = v + own.first;
  T *factors = panel, *sums = panel + LDL_COLUMNS;
  for (int q = 0; q < w; q++) {
    const T *row = own.at + q * own.length;
    factors[q] = -x[q] * pivot[own.first + q];
    for (int i = q + 1; i < w; i++) x[i] = fma(factors[q], row[i], x[i]);
  }
  for (int i = 0; i < own.below; i++) sums[i] = v[own.row[i]];
  add_columns(w, own.below, factors, own.at + w, own.length, sums);
  for (int i = 0; i < own.below; i++) v[own.row[i]] = sums[i];
}

template <class T>
void backward_panel(const LdlPanel<T> &own, const T *pivot, T *panel, T *v) {
  const int w = own.columns;
  T *x = v + own.first;
  T *sums = panel, *below = panel + LDL_COLUMNS;
  for (int i = 0; i < own.below; i++) below[i] = v[own.row[i]];
  dot_columns(w, own.below, own.at + w, own.length, below, sums);
  for (int q = w - 1; q >= 0; q--) {
    const T *row = own.at + q * own.length;
    T sum = sums[q];
    for (int i = q + 1; i < w; i++) sum = fma(row[i], x[i], sum);
    x[q] = pivot[own.first + q] * (x[q] - sum);
  }
}

// Do what solve_ldl does, panel by panel.
template <class T>
void solve_panels(const LdlPattern &s, const T *pivot, const T *L, T *panel, T *v) {
  T *factor = const_cast<T *>(L);  // not changed
  for (int p = 0; p < s.panels; p++) forward_panel(LdlPanel<T>(s, factor, p), pivot, panel, v);
  for (int p = s.panels - 1; p >= 0; p--)
    backward_panel(LdlPanel<T>(s, factor, p), pivot, panel, v);
}

}  // namespace
}  // namespace kktdiff
