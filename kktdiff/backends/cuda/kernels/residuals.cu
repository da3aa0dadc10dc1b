// How far a point is from the optimality conditions, as `kktdiff._residuals` has it.

struct Norms {
  double gap, gap_size;                  // of the terms whose difference it is
  double mu;                             // mean of lam_i s_i
  double primal, dual;                   // largest violation; largest entry of r_x
  double equalities, rows;               // of Ax = b alone; of Cx + s = d
  double primal_size, dual_size;
  double off_path;   // largest |lam_i s_i / barrier - 1|
  double objective;  // 1/2 x'Qx + p'x
};

// The worst of the three relative residuals.
__device__ double merit(const Norms& r) {
  double primal = r.primal / (1 + r.primal_size), dual = r.dual / (1 + r.dual_size);
  return larger(larger(primal, dual), r.gap / (1 + r.gap_size));
}

// Sums first, then maxima: the order in which they are reduced.
enum { GAP, GAP_SIZE, PRODUCT, PRESENT, VALUE, SUMS, PRIMAL = SUMS, DUAL, EQUAL, ROWS, PRIMAL_SIZE,
       DUAL_SIZE, OFF_PATH, NORMS };

__device__ void raise(double& most, double v) { most = larger(most, fabs(v)); }

__device__ void judge_equalities(const Batch& q, Int i, const Vectors& v, const Point& at,
                                 double (&r)[NORMS]) {
  const double *b = q.b.at(i), *nu = at.nu;
  EACH(a, q.k) {
    raise(r[PRIMAL_SIZE], v.r_nu[a]);
    raise(r[PRIMAL_SIZE], b[a]);
    v.r_nu[a] -= b[a];
    raise(r[EQUAL], v.r_nu[a]);
    r[GAP] += nu[a] * b[a];
    r[GAP_SIZE] += fabs(nu[a] * b[a]);
  }
}

__device__ void judge_rows(const Batch& q, Int i, const Vectors& v, const Point& at,
                           double (&r)[NORMS]) {
  const double *d = q.d.at(i), *x = at.x, *s = at.s, *lam = at.lam;
  const unsigned char* present = q.present.at(i);
  EACH(row, inequalities(q)) {
    double Cx = C_times(q, row, v.r_c, x);
    v.r_c[row] = present[row] ? Cx - d[row] + s[row] : 0;
    if (!present[row]) continue;
    raise(r[PRIMAL_SIZE], Cx);
    raise(r[PRIMAL_SIZE], d[row]);
    r[PRIMAL] = larger(r[PRIMAL], Cx - d[row]);
    raise(r[ROWS], v.r_c[row]);
    r[GAP] += lam[row] * d[row];
    r[GAP_SIZE] += fabs(lam[row] * d[row]);
    r[PRODUCT] += lam[row] * s[row];
    r[PRESENT] += 1;
    if (q.barrier > 0) raise(r[OFF_PATH], lam[row] * s[row] / q.barrier - 1);
  }
}

__device__ void judge_stationarity(const Batch& q, Int i, const Vectors& v, const Point& at,
                                   double (&r)[NORMS]) {
  const double *Q = q.Q.at(i), *G = q.G.at(i), *A = q.A.at(i), *p = q.p.at(i);
  const double *x = at.x, *lam = at.lam, *nu = at.nu;
  const double* value = q.value.at(i);
  const unsigned char* fixed = q.fixed.at(i);
  EACH(j, q.n) {
    double Qx = column_times(Q, q.n, q.n, j, x);  // Q is symmetric
    double Cl = Ct_times(q, G, j, lam), An = column_times(A, q.k, q.n, j, nu);
    double left = Qx + p[j] + Cl + An;
    if (fixed[j]) {  // its equality's multiplier is what makes it zero
      r[GAP] -= left * value[j];
      r[GAP_SIZE] += fabs(left * value[j]);
      raise(r[PRIMAL], x[j] - value[j]);
    }
    v.r_x[j] = fixed[j] ? 0 : left;
    v.force[j] = fixed[j] ? -left : 0;
    raise(r[DUAL], v.r_x[j]);
    raise(r[DUAL_SIZE], larger(larger(fabs(Qx), fabs(p[j])), larger(fabs(Cl), fabs(An))));
    r[GAP] += x[j] * Qx + x[j] * p[j];
    r[VALUE] += (Qx / 2 + p[j]) * x[j];
    r[GAP_SIZE] += fabs(x[j] * Qx) + fabs(x[j] * p[j]);
  }
}

// Write r_x, r_c, r_nu and the multipliers of fixed variables at a point of problem i; return the
// norms, to all threads. Of the point, x must be there for all of them when it is called.
__device__ Norms evaluate(const Batch& q, Int i, const Vectors& v, const Point& at) {
  times(q.G.at(i), q.m, q.n, at.x, v.r_c);
  times(q.A.at(i), q.k, q.n, at.x, v.r_nu);
  __syncthreads();
  double r[NORMS] = {};
  judge_equalities(q, i, v, at, r);
  judge_rows(q, i, v, at, r);
  judge_stationarity(q, i, v, at, r);
  over_block(r, SUMS);
  Norms out;
  out.gap = fabs(r[GAP]), out.gap_size = r[GAP_SIZE];
  out.mu = r[PRODUCT] / (r[PRESENT] > 0 ? r[PRESENT] : 1);
  out.primal = larger(r[PRIMAL], r[EQUAL]), out.dual = r[DUAL];
  out.equalities = r[EQUAL], out.rows = r[ROWS];
  out.primal_size = r[PRIMAL_SIZE], out.dual_size = r[DUAL_SIZE];
  out.off_path = r[OFF_PATH], out.objective = r[VALUE];
  return out;
}
