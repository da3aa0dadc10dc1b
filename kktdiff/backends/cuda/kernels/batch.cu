// A batch of QPs and the memory that they are solved in. Every field is eight bytes: the host packs
// them in this order (`_table.Batch`).

template <class T>
struct Given {  // an array with one entry for each problem, or one for all: then `step` is 0
  const T* first;
  Int step;
  __device__ const T* at(Int i) const { return first + i * step; }
};
typedef Given<double> Numbers;
typedef Given<unsigned char> Flags;

struct Batch {
  Int n, m, k, lower, upper;  // variables, rows of G and A, rows of the bounds: 0 or n
  Int separable;              // H is diagonal
  Int length, max_iter;
  double tol, barrier;
  // The data, and the weights of their scaling.
  Numbers Q, p, G, A, b, d;
  Flags present, fixed;
  Numbers value, x_weight, row_weight, nu_weight, cost;
  // For each problem: its point, and how it came there.
  double *x, *s, *lam, *nu;
  double* least;    // (7): smallest residuals, relative residuals and mu so far
  double* allowed;  // (2): most that the last step may leave of the linear residuals
  Int *progress, *linear;
  Int* state;  // RUNNING, GIVEN_UP, in how many iterations it was solved, or NEAR less those
  // For each slot, a problem that is worked on: the condensed system, and vectors.
  double *H, *W, *V, *S, *vectors;
  int *H_info, *S_info;  // not 0: the matrix is not positive definite
  int* slots;            // the problem in each slot, -1 for none
  int* live;             // (max_iter + 1): how many problems each iteration left running
};

#define RUNNING -2

// Of a Batch, or of anything else with these sizes.
template <class T>
__device__ int inequalities(const T& q) {
  return (int)(q.m + q.lower + q.upper);
}

struct Point {  // of one problem
  double *x, *s, *lam, *nu;
};

__device__ Point point_of(const Batch& q, Int i) {
  Int M = inequalities(q);
  return {q.x + i * q.n, q.s + i * M, q.lam + i * M, q.nu + i * q.k};
}

// The vectors of one slot.
struct Vectors {
  double *r_x, *dx, *half, *h, *force;                   // (n)
  double *r_c, *w, *target, *ds, *dlam, *per_s, *per_lam;  // (M)
  double *r_nu, *dnu, *half_nu;                          // (k)
  double* norms;                                         // (4): what steps need of them
};

// The entries; the last is what becomes of a problem whose system can't be factored.
enum { EQUALITIES, STATIONARITY, MU, LEFT, KEPT_NORMS };

__device__ Vectors vectors_of(const Batch& q, Int slot) {
  int n = q.n, M = inequalities(q), k = q.k;
  double* at = q.vectors + slot * (5 * n + 7 * M + 3 * k + KEPT_NORMS);
  double *x = at, *c = at + 5 * n, *nu = c + 7 * M;
  return {x,         x + n,     x + 2 * n, x + 3 * n, x + 4 * n, c,      c + M,      c + 2 * M,
          c + 3 * M, c + 4 * M, c + 5 * M, c + 6 * M, nu,        nu + k, nu + 2 * k, nu + 3 * k};
}

// The problem of this block; -1 if there is none, or if it is done.
__device__ Int running_problem(const Batch& q) {
  Int i = q.slots[blockIdx.x];
  return i >= 0 && q.state[i] == RUNNING ? i : -1;
}

// Entry `row` of C x, G's rows given.
template <class T>
__device__ double C_times(const T& q, int row, const double* Gx, const double* x) {
  if (row < q.m) return Gx[row];
  return row < q.m + q.lower ? -x[row - q.m] : x[row - q.m - q.lower];
}

// Entry j of C'v.
template <class T>
__device__ double Ct_times(const T& q, const double* G, int j, const double* v) {
  double sum = column_times(G, q.m, q.n, j, v);
  if (q.lower) sum -= v[q.m + j];
  if (q.upper) sum += v[q.m + q.lower + j];
  return sum;
}

// Give the problems in some state the first slots; one block does it for all.
extern "C" __global__ void gather(const Batch* batch, const Int* states, Int wanted, int* filled) {
  const Batch& q = *batch;
  EACH(slot, q.length) q.slots[slot] = -1;
  if (threadIdx.x == 0) *filled = 0;
  __syncthreads();
  EACH(i, q.length) {
    if (states[i] == wanted) q.slots[atomicAdd(filled, 1)] = (int)i;
  }
}
