// Products of matrices by a team of a CUDA device: C += sign A' diag(w) B.
//
// Each thread has a tile of SIDE x SIDE sums in registers. What it reads comes from shared memory:
// matrices that stand elsewhere pass through a panel there, a few rows at a time.
#pragma once
#include "linear.hpp"
#include "loops.hpp"

namespace kktdiff {
namespace {

constexpr int SMALL_SIDE = 2, SIDE = TEAM > WARP ? 5 : SMALL_SIDE;  // 5: odd, so no two lanes of a
                                                                    // row of tiles share a bank
// Tiles in a row of the largest square whose upper triangle gives each thread one tile at most.
constexpr int tiles_across(int most) {
  int across = 1;
  while ((across + 1) * (across + 2) / 2 <= most) across++;
  return across;
}
constexpr int WIDTH = tiles_across(TEAM) * SIDE;  // columns that pass through a panel at a time
constexpr int PANEL_ROWS = 8,
              PANEL_STRIDE = (WIDTH + SIDE + 3) / 4 * 4;  // tiles read beyond columns
constexpr int PANEL = 1;  // rows that go together in passes of one problem

KKTDIFF_INLINE long long panel_entries(int) { return 0; }  // the panels are static

// C += sign left' diag(w) right, C: (rows, cols), its upper triangle alone where `triangle`. Tiles
// at the edge read up to SIDE - 1 entries beyond the last one of `left` and `right`.
struct Product {
  int depth, rows, cols;
  const double *left, *right;  // (depth, rows), (depth, cols), a row `left_stride` from the next
  int left_stride, right_stride;
  const double *w;  // (depth), or NULL for ones
  double sign;
  double *C;
  int stride;
  bool triangle;
};

KKTDIFF_INLINE bool in_shared_memory(const void *a) { return __isShared(a) != 0; }

KKTDIFF_INLINE double *panel_of_team() {
  __shared__ double panels[THREADS / TEAM * PANEL_ROWS * PANEL_STRIDE];
  return panels + threadIdx.x / TEAM * (PANEL_ROWS * PANEL_STRIDE);
}

// The rows and columns of C that are formed in one go.
struct Part {
  int row, rows, col, cols;
  bool triangle;
  KKTDIFF_MEMBER int down(int side) const { return (rows + side - 1) / side; }
  KKTDIFF_MEMBER int across(int side) const { return (cols + side - 1) / side; }
  KKTDIFF_MEMBER int tiles(int side) const {
    return triangle ? across(side) * (across(side) + 1) / 2 : down(side) * across(side);
  }
  // Find the first row and column of tile t.
  KKTDIFF_MEMBER void place(int t, int side, int &i, int &j) const {
    if (triangle) {
      j = int((::sqrtf(8.0f * t + 1.0f) - 1.0f) / 2.0f);
      while (j * (j + 1) / 2 > t) j--;
      while ((j + 1) * (j + 2) / 2 <= t) j++;
      i = t - j * (j + 1) / 2;
    } else {
      i = t / across(side), j = t % across(side);
    }
    i *= side, j *= side;
  }
};

// sums += left' diag(w) right over `depth` rows
template <int S, bool WEIGHTED>
KKTDIFF_INLINE void add_to_tile(int depth, const double *left, int left_stride, const double *right,
                                int right_stride, const double *w, double (&sums)[S][S]) {
  for (int q = 0; q < depth; q++, left += left_stride, right += right_stride) {
    double a[S], b[S];
  KKTDIFF_UNROLL for (int r = 0; r < S; r++) a[r] = WEIGHTED ? w[q] * left[r] : left[r];
    KKTDIFF_UNROLL for (int c = 0; c < S; c++) b[c] = right[c];
    KKTDIFF_UNROLL for (int r = 0; r < S; r++)
      KKTDIFF_UNROLL for (int c = 0; c < S; c++) sums[r][c] = fma(a[r], b[c], sums[r][c]);
  }
}

template <int S>
KKTDIFF_INLINE void store_tile(const Product &p, const Part &part, int i, int j,
                               const double (&sums)[S][S]) {
  double *C = p.C + (part.row + i) * p.stride + part.col + j;
  KKTDIFF_UNROLL for (int r = 0; r < S; r++)
    KKTDIFF_UNROLL for (int c = 0; c < S; c++)
      if (i + r < part.rows && j + c < part.cols && !(part.triangle && j + c < i + r))
        C[r * p.stride + c] = fma(p.sign, sums[r][c], C[r * p.stride + c]);
}

// Copy `depth` rows of `count` columns.
KKTDIFF_INLINE void copy_rows(int depth, int count, const double *from, int stride, double *to) {
  for (int q = warp_of_team(); q < depth; q += WARPS)
    for (int j : each_column(count)) to[q * PANEL_STRIDE + j] = from[q * stride + j];
}

// One part, by way of the panel unless both matrices are in shared memory: a few rows at a time, the
// left columns and then the right ones where they are others.
template <int S, bool WEIGHTED>
KKTDIFF_INLINE void add_part(const Product &p, const Part &part, double *panel) {
  const bool same = p.left + part.row == p.right + part.col;
  const int most = !panel ? p.depth : same ? PANEL_ROWS : PANEL_ROWS / 2, tiles = part.tiles(S);
  for (int first = 0; first < tiles; first += TEAM) {
    const bool busy = first + rank() < tiles;
    int i = 0, j = 0;
    double sums[S][S] = {};
    if (busy) part.place(first + rank(), S, i, j);
    for (int q = 0; q < p.depth; q += most) {
      const int depth = p.depth - q < most ? p.depth - q : most;
      const double *left = p.left + q * p.left_stride + part.row;
      const double *right = p.right + q * p.right_stride + part.col;
      int left_stride = p.left_stride, right_stride = p.right_stride;
      if (panel) {
        double *others = same ? panel : panel + most * PANEL_STRIDE;
        meet();  // the rows before have been read
        copy_rows(depth, part.rows, left, left_stride, panel);
        if (!same) copy_rows(depth, part.cols, right, right_stride, others);
        meet();
        left = panel, right = others, left_stride = right_stride = PANEL_STRIDE;
      }
      if (busy)
        add_to_tile<S, WEIGHTED>(depth, left + i, left_stride, right + j, right_stride, p.w + q,
                                 sums);
    }
    if (busy) store_tile<S>(p, part, i, j, sums);
  }
}

// Form the product part by part where it takes a panel, of as equal a width as can be.
template <int S, bool WEIGHTED>
KKTDIFF_APART void add_parts(const Product &p) {
  const bool direct = in_shared_memory(p.left) && in_shared_memory(p.right);
  double *panel = direct ? nullptr : panel_of_team();
  const int longest = p.rows > p.cols ? p.rows : p.cols;
  const int count = direct ? 1 : (longest + WIDTH - 1) / WIDTH;
  const int width = ((longest + count - 1) / count + S - 1) / S * S;
  for (int row = 0; row < p.rows; row += width)
    for (int col = p.triangle ? row : 0; col < p.cols; col += width) {
      const int rows = p.rows - row < width ? p.rows - row : width;
      const int cols = p.cols - col < width ? p.cols - col : width;
      add_part<S, WEIGHTED>(p, {row, rows, col, cols, p.triangle && row == col}, panel);
    }
  meet();
}

inline void add_product(const Product &p) {
  if (p.depth == 0 || p.rows == 0 || p.cols == 0) return;
  const Part whole{0, p.rows, 0, p.cols, p.triangle};
  const bool small = SIDE == SMALL_SIDE || whole.tiles(SIDE) <= TEAM / 4;
  if (p.w)
    small ? add_parts<SMALL_SIDE, true>(p) : add_parts<SIDE, true>(p);
  else
    small ? add_parts<SMALL_SIDE, false>(p) : add_parts<SIDE, false>(p);
}

}  // namespace
}  // namespace kktdiff
