// From an interior point to the solution, as `kktdiff._polish` has it: the active set, and its KKT
// matrix.
//
// `choose` takes the rows with lam > s, `assemble` writes their KKT matrix as `kktdiff._kkt` has
// it, a library factors it, `refine` solves, and `settle` judges. What leaves more than rounding
// gets the active set that the signs ask for, once or twice, or is given up.

struct Polish {  // packed by the host: `_table.Polish`
  Int r;         // rows of G that there is room for in the matrix, once that is known
  double *x, *s, *lam, *nu;  // the solutions
  double *numbers;           // (4): objective, primal and dual residual, gap
  double *activity;          // (M); and so on, as in `kktdiff._kkt.Factors`
  Int *order, *place;        // (m)
  double *x_weight, *g_weight;
  unsigned char* held;       // (M)
  Int* count;                // active rows of G
  Int* wrong;                // most rows that may come out wrong for another try
  Int* state;                // TRIED, AGAIN, POLISHED or GIVEN_UP
  double* K;                 // (N, N): the factors that are kept
  int* pivots;
  double* own;  // for each slot, what is factored now: K itself at first
  int *own_pivots, *info;
  double* rhs;  // for each slot (2 N)
  int* again;   // how many the last try leaves to be tried again
};

enum { TRIED, AGAIN, POLISHED };

__device__ Point solution_of(const Batch& q, const Polish& p, Int i) {
  Int M = inequalities(q);
  return {p.x + i * q.n, p.s + i * M, p.lam + i * M, p.nu + i * q.k};
}

// The problem of this block that is to be polished; -1 if there is none.
__device__ Int tried_problem(const Batch& q, const Polish& p) {
  Int i = q.slots[blockIdx.x];
  return i >= 0 && (p.state[i] == TRIED || p.state[i] == AGAIN) ? i : -1;
}

// Activities and weights of the active set v.w; whether no variable is to be at both of its bounds.
// A fixed variable is on the side of its force.
__device__ bool hold(const Batch& q, const Polish& p, Int i, const Vectors& v) {
  int m = q.m, M = inequalities(q), up = m + (int)q.lower;
  const double* weight = q.x_weight.at(i);
  const unsigned char* fixed = q.fixed.at(i);
  double* a = p.activity + i * M;
  unsigned char* held = p.held + i * M;
  EACH(row, m) {
    a[row] = v.w[row];
    held[row] = 0;
    p.g_weight[i * m + row] = v.w[row] > 0 ? q.row_weight.at(i)[row] : 0;
  }
  double both = 0;
  EACH(j, q.n) {
    double low = q.lower ? v.w[m + j] : 0, high = q.upper ? v.w[up + j] : 0;
    if (low > 0 && high > 0) both = 1;
    if (fixed[j]) {
      low = v.force[j] < 0;
      high = 1 - low;
    }
    if (q.lower) a[m + j] = held[m + j] = low > 0;
    if (q.upper) a[up + j] = held[up + j] = high > 0;
    p.x_weight[i * q.n + j] = low > 0 || high > 0 ? 0 : weight[j];
  }
  return largest(both) == 0;
}

// Active rows of G first; where each stands, and how many are active.
__device__ void sort(const Batch& q, const Polish& p, Int i, const Vectors& v) {
  int m = q.m, count = 0;
  for (int row = 0; row < m; ++row) count += v.w[row] > 0;
  EACH(row, m) {
    int before = 0;  // active ones
    for (int c = 0; c < row; ++c) before += v.w[c] > 0;
    int place = v.w[row] > 0 ? before : count + row - before;
    p.place[i * m + row] = place;
    p.order[i * m + place] = row;
  }
  if (threadIdx.x == 0) p.count[i] = count;
}

// The active set: at first by the interior point, later by what the last try asks for.
extern "C" __global__ void __launch_bounds__(MOST_THREADS, 2)
choose(const Batch* batch, const Polish* polish) {
  const Batch& q = *batch;
  const Polish& p = *polish;
  Int i = tried_problem(q, p);
  int M = inequalities(q);
  if (i < 0) return;
  Vectors v = vectors_of(q, blockIdx.x);
  Point at = point_of(q, i);
  bool first = p.state[i] == TRIED;
  if (q.lower && q.upper) evaluate(q, i, v, at);  // for the forces on fixed variables
  const double* weight = q.row_weight.at(i);
  const unsigned char* present = q.present.at(i);
  EACH(row, M) {
    bool above = at.lam[row] > at.s[row] * weight[row] * weight[row] / *q.cost.at(i);
    v.w[row] = first ? present[row] && above : p.activity[i * M + row] > 0;
  }
  __syncthreads();
  if (first && threadIdx.x == 0) p.wrong[i] = 4 + M / MANY_WRONG;
  bool can = hold(q, p, i, v);
  if (!can && threadIdx.x == 0) p.state[i] = GIVEN_UP;
  sort(q, p, i, v);
}

// Entry of the KKT matrix below or on the diagonal, unknowns in the order x, nu, rows of G.
__device__ double kkt_entry(const Batch& q, const Polish& p, Int i, int row, int column) {
  int n = q.n, k = q.k;
  const double* x = p.x_weight + i * n;
  if (row < n) return *q.cost.at(i) * x[row] * q.Q.at(i)[row * n + column] * x[column];
  if (column >= n) return 0;
  if (row < n + k)
    return q.nu_weight.at(i)[row - n] * q.A.at(i)[(row - n) * n + column] * x[column];
  Int g = p.order[i * q.m + row - n - k];
  return p.g_weight[i * q.m + g] * q.G.at(i)[g * n + column] * x[column];
}

__device__ double kkt_diagonal(const Batch& q, const Polish& p, Int i, int row) {
  if (row < q.n) return LU_REGULARISATION + (p.x_weight[i * q.n + row] == 0);
  return -LU_REGULARISATION - (row >= q.n + q.k + p.count[i]);
}

// Write the KKT matrix. Rows that there is no room for play no part: their weight is 0.
extern "C" __global__ void __launch_bounds__(MOST_THREADS, 2)
assemble(const Batch* batch, const Polish* polish) {
  const Batch& q = *batch;
  const Polish& p = *polish;
  Int i = tried_problem(q, p);
  if (i < 0) return;
  int N = (int)(q.n + q.k + p.r);
  double* K = p.own + (Int)blockIdx.x * N * N;
  EACH_ENTRY(row, column, N, N) {
    int low = row > column ? row : column, left = row > column ? column : row;
    double entry = kkt_entry(q, p, i, low, left);
    K[row * N + column] = row == column ? entry + kkt_diagonal(q, p, i, row) : entry;
  }
  EACH(row, q.m) if (p.place[i * q.m + row] >= p.r) p.place[i * q.m + row] = 0;
}

