"""Matrix products in C++, for sizes at which a call of a library takes longer than the arithmetic."""

from __future__ import annotations

from optlab.training.capturing.native.operands import Pair

LARGEST = 1 << 18
"""Multiplications up to which a product is translated: the library's kernels are faster beyond."""

HEADER = r"""
// C[i][j] = bias + sum over k of A[i][k] B[k][j], in blocks of 4 rows and 2 vectors whose sums stay in
// registers. Rows of B are full vectors: others are copied first.
template <typename T> struct Width { static const int value = 64 / sizeof(T); };
template <typename T, int M, int N, int K, int PN>
static inline void product(const T *a, int64_t ai, int64_t ak, const T *b, int64_t bk, T *c,
                           int64_t ci, int64_t cj, const T *bias, int64_t di, int64_t dj) {
  const int L = Width<T>::value;
  typedef T V __attribute__((vector_size(64), aligned(sizeof(T))));
  for (int i0 = 0; i0 < M; i0 += 4) {
    const int rows = M - i0 < 4 ? M - i0 : 4;
    for (int j0 = 0; j0 < PN; j0 += 2 * L) {
      const int two = PN - j0 >= 2 * L;
      V s[4][2];
      for (int r = 0; r < 4; ++r) for (int h = 0; h < 2; ++h) {
        s[r][h] = V{};
        if (bias) {
          const int i = i0 + (r < rows ? r : 0), j = j0 + h * L;
          if (!dj) s[r][h] = V{} + bias[i * di];
          else for (int l = 0; l < L; ++l) if (j + l < N) s[r][h][l] = bias[i * di + (j + l) * dj];
        }
      }
      const T *a0 = a + i0 * ai;
      const T *a1 = a + (i0 + (rows > 1 ? 1 : 0)) * ai;
      const T *a2 = a + (i0 + (rows > 2 ? 2 : 0)) * ai;
      const T *a3 = a + (i0 + (rows > 3 ? 3 : 0)) * ai;
      if (two) {
        for (int k = 0; k < K; ++k) {
          const V b0 = *(const V *)(b + k * bk + j0);
          const V b1 = *(const V *)(b + k * bk + j0 + L);
          s[0][0] += a0[k * ak] * b0; s[0][1] += a0[k * ak] * b1;
          s[1][0] += a1[k * ak] * b0; s[1][1] += a1[k * ak] * b1;
          s[2][0] += a2[k * ak] * b0; s[2][1] += a2[k * ak] * b1;
          s[3][0] += a3[k * ak] * b0; s[3][1] += a3[k * ak] * b1;
        }
      } else {
        for (int k = 0; k < K; ++k) {
          const V b0 = *(const V *)(b + k * bk + j0);
          s[0][0] += a0[k * ak] * b0; s[1][0] += a1[k * ak] * b0;
          s[2][0] += a2[k * ak] * b0; s[3][0] += a3[k * ak] * b0;
        }
      }
      for (int r = 0; r < rows; ++r) for (int h = 0; h < (two ? 2 : 1); ++h) {
        const int j = j0 + h * L;
        T *to = c + (i0 + r) * ci + j * cj;
        if (cj == 1 && j + L <= N) __builtin_memcpy(to, &s[r][h], 64);
        else for (int l = 0; l < L; ++l) if (j + l < N) to[l * cj] = s[r][h][l];
      }
    }
  }
}
template <typename T, int N, int K, int PN>
static inline void pack(const T *b, int64_t bk, int64_t bj, T *to) {
  for (int k = 0; k < K; ++k) {
    for (int j = 0; j < N; ++j) to[(int64_t)k * PN + j] = b[k * bk + j * bj];
    for (int j = N; j < PN; ++j) to[(int64_t)k * PN + j] = (T)0;
  }
}
"""


def multiplications(out: Pair, left: Pair) -> int:
    """Return how many multiplications a product of matrices ``[R, m, k]`` and ``[R, k, n]`` has."""
    count = left.shape[-1]
    for size in out.shape:
        count *= size
    return count


def product(
    out: Pair, left: Pair, right: Pair, bias: Pair | None, numbers: tuple[int, int, int, int]
) -> list[str]:
    """Return the lines that compute ``out [R, m, n]``.

    Args:
        left, right: ``[R, m, k]`` and ``[R, k, n]``. bias: that is added, broadcast to ``out``.
        numbers: numbers of the pointers to out, left, right and bias.
    """
    (runs, m, n), k = out.shape, left.shape[-1]
    place, first, second, added_place = numbers
    columns = right
    o, a, b = out.strides, left.strides, right.strides
    c = bias.strides if bias else (0, 0, 0)
    if o[2] != 1 and o[1] == 1:
        # The transposed product has the columns of its result side by side.
        m, n, first, second, columns = n, m, second, first, left
        o, a, b, c = ((one[0], one[2], one[1]) for one in (o, right.strides, left.strides, c))
    kind = out.kind
    lanes = 64 // out.one.element_size()
    padded = -(-n // lanes) * lanes
    added = f"p{added_place} + r * INT64_C({c[0]})" if bias else f"(const {kind} *)nullptr"
    from_ = f"p{second} + r * INT64_C({b[0]})"
    lines, matrix, width = [], from_, b[1]
    if b[2] != 1 or n != padded:
        matrix, width = "packed", padded
        pack = f"pack<{kind}, {n}, {k}, {padded}>({from_}, {b[1]}, {b[2]}, packed);"
        if b[0] == 0:
            # All runs have the same, so that the first one leaves it for the others.
            pack = f"if ({'at' if columns.of_run else 'r'} == 0) {pack}"
        lines = [pack]
    return [
        "{",
        *(
            [f"static thread_local {kind} packed[{k * padded}] __attribute__((aligned(64)));"]
            if lines
            else []
        ),
        f"for (int64_t r = 0; r < {runs}; ++r) {{",
        *lines,
        f"product<{kind}, {m}, {n}, {k}, {padded}>(p{first} + r * INT64_C({a[0]}), {a[1]}, {a[2]},"
        f" {matrix}, {width}, p{place} + r * INT64_C({o[0]}), {o[1]}, {o[2]}, {added}, {c[1]},"
        f" {c[2]});",
        "}",
        "}",
    ]
