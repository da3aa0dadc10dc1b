// The Newton system, condensed as in `kktdiff._condensed`:
//
//     H = Q + C'diag(w)C = L L',    V' = L^-1 A',    S = V V' = A H^-1 A'.
//
// Kernels write H (without G's share), W with W'W = G'diag(w)G, V = A and S (its regularisation);
// the libraries make the products and the factors; then kernels solve.

__device__ double proximal(const Batch& q, Int i, int j) {
  double weight = q.x_weight.at(i)[j];
  return 1 / (*q.cost.at(i) * weight * weight);
}

// Write the system for the weights v.w.
__device__ void condense(const Batch& q, Int i, Int slot, const Vectors& v) {
  int n = q.n, m = q.m, k = q.k;
  const double *Q = q.Q.at(i), *G = q.G.at(i), *A = q.A.at(i), *nu_weight = q.nu_weight.at(i);
  const unsigned char* fixed = q.fixed.at(i);
  EACH(j, n) {
    double h = Q[j * n + j] + (fixed[j] ? FIXED : REGULARISATION) * proximal(q, i, j);
    if (q.lower && !fixed[j]) h += v.w[m + j];
    if (q.upper && !fixed[j]) h += v.w[m + q.lower + j];
    v.h[j] = h;
  }
  __syncthreads();
  double *H = q.H + slot * n * n, *W = q.W + slot * m * n;
  double *V = q.V + slot * k * n, *S = q.S + slot * k * k;
  if (!q.separable) {
    EACH_ENTRY(r, c, n, n) H[r * n + c] = r == c ? v.h[r] : Q[r * n + c];
    EACH_ENTRY(r, c, m, n) W[r * n + c] = sqrt(v.w[r]) * G[r * n + c];
  }
  EACH_ENTRY(r, c, k, n) V[r * n + c] = q.separable ? A[r * n + c] / sqrt(v.h[c]) : A[r * n + c];
  EACH_ENTRY(r, c, k, k) {
    double unit = *q.cost.at(i) / (nu_weight[r] * nu_weight[r]);
    S[r * k + c] = r == c ? REGULARISATION * unit : 0;
  }
}

// Make the factors ready for both sweeps; where one is missing, problem i is left.
__device__ bool take_factors(const Batch& q, Int i, Int slot, const Vectors& v) {
  bool there = !(q.k && q.S_info[slot] != 0);
  if (q.separable) {
    double worst = 0;
    EACH(j, q.n) worst = larger(worst, v.h[j] > 0 ? 0 : 1);
    there = largest(worst) == 0 && there;
  } else {
    there = q.H_info[slot] == 0 && there;
  }
  if (!there) {
    if (threadIdx.x == 0) q.state[i] = (Int)v.norms[LEFT];
    return false;
  }
  if (!q.separable) prepare(q.H + slot * q.n * q.n, q.n);
  prepare(q.S + slot * q.k * q.k, q.k);
  return true;
}

// out = L^-1 v, or out = L'^-1 v; v is used up.
__device__ void half_solve(const Batch& q, Int slot, const Vectors& u, bool first, double* v,
                           double* out) {
  if (q.separable) {
    EACH(j, q.n) out[j] = v[j] / sqrt(u.h[j]);
    __syncthreads();
  } else {
    sweep(q.H + slot * q.n * q.n, q.n, !first, RECIPROCALS, v, out);
  }
}

// dx, dnu and dlam for the right-hand side (-r_x, v.target, -r_nu). No barrier at the end.
__device__ void solve(const Batch& q, Int i, Int slot, const Vectors& v) {
  int n = q.n, k = q.k, M = inequalities(q);
  const double *G = q.G.at(i), *V = q.V + slot * k * n, *S = q.S + slot * k * k;
  const unsigned char* fixed = q.fixed.at(i);
  EACH(row, M) v.dlam[row] = v.w[row] * v.target[row];
  __syncthreads();
  EACH(j, n) v.dx[j] = Ct_times(q, G, j, v.dlam) - v.r_x[j];
  half_solve(q, slot, v, true, v.dx, v.half);
  if (k) {
    times(V, k, n, v.half, v.half_nu);
    __syncthreads();
    EACH(a, k) v.half_nu[a] += v.r_nu[a];
    sweep(S, k, false, RECIPROCALS, v.half_nu, v.dnu);
    sweep(S, k, true, RECIPROCALS, v.dnu, v.half_nu);
    EACH(a, k) v.dnu[a] = v.half_nu[a];
    __syncthreads();
    EACH(j, n) v.half[j] -= column_times(V, k, n, j, v.dnu);
  }
  half_solve(q, slot, v, false, v.half, v.dx);
  EACH(j, n) if (fixed[j]) v.dx[j] = 0;
  __syncthreads();
  times(G, q.m, n, v.dx, v.dlam);
  __syncthreads();
  EACH(row, M) v.dlam[row] = v.w[row] * (C_times(q, row, v.dlam, v.dx) - v.target[row]);
}
