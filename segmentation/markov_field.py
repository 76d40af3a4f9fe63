"""The arithmetic of FAST's model on a brain's box: compiled kernels over ranges of planes.

Zhang, Brady and Smith, IEEE Transactions on Medical Imaging 20(1):45-57, 2001: three Gaussian
classes, a hidden Markov random field, a smooth bias field. Written here because nothing that pip
installs comes near FAST's result, and numpy would take minutes an image.

Shapes: the box has (I, J, K) voxels. Log intensities, the field and their like are float32
(I, J, K). Posteriors are three arrays, one a class, float32 (I + 2, J + 2, K + 2): the box with a
rim of zeros, so that every voxel has all its neighbors; outside the mask they are 0.
``first`` and ``last`` (I, J) int32 are the part of each row that the mask touches (0 and 0 where it
doesn't), and ``inside`` uint8 (I, J, K) is the mask. A class is a row of ``gaussians`` float32 (3,
3): its mean, -1 / (2 variance) and -log(variance) / 2.

Every kernel works on the planes ``start`` to ``stop`` of the first axis and writes to no other, so
planes can go to any number of threads; sums are kept by plane, in float64, for the caller to add in
order. Rows are worked along the last, contiguous axis in vector registers, on slices that start at
0, since only these let the compiler see that no index is negative.
"""

from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from core.kernels import kernel

_LOG2_E = np.float32(1.4426950408889634)
# Taylor terms of 2**x; the next one is below float32's resolution for x in -0.5..0.5.
_C1, _C2, _C3, _C4, _C5, _C6 = (
    np.float32(np.log(2.0) ** n / factorial) for n, factorial in ((1, 1), (2, 2), (3, 6), (4, 24), (5, 120), (6, 720))
)
_LOWEST_EXPONENT = np.float32(-87.0)
_HALF, _ONE = np.float32(0.5), np.float32(1.0)


@intrinsic
def _power_of_two(typing_context, exponent):
    """2**exponent for an int32 exponent from -126 to 127, made from its bits."""

    def build(context, builder, signature, arguments):
        biased = builder.add(arguments[0], ir.Constant(ir.IntType(32), 127))
        return builder.bitcast(builder.shl(biased, ir.Constant(ir.IntType(32), 23)), ir.FloatType())

    return types.float32(types.int32), build


@numba.njit(inline="always")
def _exponential(x):
    """exp(x) of a float32 x <= 0, to float32's resolution; the C library's takes no vectors."""
    scaled = max(x, _LOWEST_EXPONENT) * _LOG2_E
    whole = np.int32(scaled - _HALF)
    part = scaled - np.float32(whole)
    series = _C4 + part * (_C5 + part * _C6)
    series = _ONE + part * (_C1 + part * (_C2 + part * (_C3 + part * series)))
    return series * _power_of_two(whole)  # type: ignore[call-arg]  # numba gives the typing context itself


@kernel
def sweep(start, stop, step, posteriors, log_image, field, inside, first, last, gaussians, weights, beta):
    """Update every ``step``-th plane's posteriors in place from their neighbors and the Gaussians.

    p_k is proportional to exp(beta x weighted sum of the neighbors' p_k) x density_k; a row's own
    neighbors are taken as they were before the row. With beta 0 it is the mixture without a field.
    ``weights`` float32 (6,): of the neighbors along i, j, k, and diagonally in ij, ik, jk.
    """
    columns = log_image.shape[2]
    beside = np.empty(columns + 2, np.float32)
    energy = np.empty((3, columns), np.float32)
    w_i, w_j, w_k = weights[0], weights[1], weights[2]
    w_ij, w_ik, w_jk = weights[3], weights[4], weights[5]
    m0, a0, c0 = gaussians[0, 0], gaussians[0, 1], gaussians[0, 2]
    m1, a1, c1 = gaussians[1, 0], gaussians[1, 1], gaussians[1, 2]
    m2, a2, c2 = gaussians[2, 0], gaussians[2, 1], gaussians[2, 2]
    for i in range(start, stop, step):
        for j in range(log_image.shape[1]):
            low, high = first[i, j], last[i, j]
            count = high - low
            if count == 0:
                continue
            for k in range(3):
                p = posteriors[k]
                here = p[i + 1, j + 1, low : high + 2]
                i_before = p[i, j + 1, low : high + 2]
                i_after = p[i + 2, j + 1, low : high + 2]
                j_before = p[i + 1, j, low : high + 2]
                j_after = p[i + 1, j + 2, low : high + 2]
                # What a column gives to the two beside it, summed once and used from both sides.
                for n in range(count + 2):
                    beside[n] = w_k * here[n] + w_ik * (i_before[n] + i_after[n]) + w_jk * (j_before[n] + j_after[n])
                left, right = beside[:count], beside[2 : count + 2]
                i_before, i_after = i_before[1:], i_after[1:]
                j_before, j_after = j_before[1:], j_after[1:]
                corner0 = p[i, j, low + 1 : high + 1]
                corner1 = p[i, j + 2, low + 1 : high + 1]
                corner2 = p[i + 2, j, low + 1 : high + 1]
                corner3 = p[i + 2, j + 2, low + 1 : high + 1]
                out = energy[k]
                for n in range(count):
                    out[n] = beta * (
                        left[n]
                        + right[n]
                        + w_i * (i_before[n] + i_after[n])
                        + w_j * (j_before[n] + j_after[n])
                        + w_ij * (corner0[n] + corner1[n] + corner2[n] + corner3[n])
                    )
            y, f, m = log_image[i, j, low:high], field[i, j, low:high], inside[i, j, low:high]
            e0, e1, e2 = energy[0], energy[1], energy[2]
            p0 = posteriors[0][i + 1, j + 1, low + 1 : high + 1]
            p1 = posteriors[1][i + 1, j + 1, low + 1 : high + 1]
            p2 = posteriors[2][i + 1, j + 1, low + 1 : high + 1]
            for n in range(count):
                value = y[n] - f[n]
                u0 = e0[n] + c0 + a0 * (value - m0) * (value - m0)
                u1 = e1[n] + c1 + a1 * (value - m1) * (value - m1)
                u2 = e2[n] + c2 + a2 * (value - m2) * (value - m2)
                top = max(u0, max(u1, u2))
                q0, q1, q2 = _exponential(u0 - top), _exponential(u1 - top), _exponential(u2 - top)
                share = np.float32(m[n]) / (q0 + q1 + q2)
                p0[n] = q0 * share
                p1[n] = q1 * share
                p2[n] = q2 * share


@kernel
def nearest_sums(start, stop, step, log_image, inside, first, last, centers, sums):
    """The sums of `posterior_sums` with each voxel wholly in the class of the nearest center.

    ``centers`` float64 (3,), rising; of two as near the lower one.
    """
    low_edge, high_edge = (centers[0] + centers[1]) / 2, (centers[1] + centers[2]) / 2
    for i in range(start, stop, step):
        sums[i] = 0
        for j in range(log_image.shape[1]):
            for k in range(first[i, j], last[i, j]):
                if inside[i, j, k]:
                    value = np.float64(log_image[i, j, k])
                    nearest = int(value > low_edge) + int(value > high_edge)
                    sums[i, nearest, 0] += 1
                    sums[i, nearest, 1] += value
                    sums[i, nearest, 2] += value * value


@kernel
def mixture_sums(start, stop, step, log_image, inside, first, last, gaussians, sums):
    """The sums of `posterior_sums` for the Gaussians alone, without storing posteriors."""
    m0, a0, c0 = gaussians[0, 0], gaussians[0, 1], gaussians[0, 2]
    m1, a1, c1 = gaussians[1, 0], gaussians[1, 1], gaussians[1, 2]
    m2, a2, c2 = gaussians[2, 0], gaussians[2, 1], gaussians[2, 2]
    for i in range(start, stop, step):
        s0 = s1 = s2 = t0 = t1 = t2 = v0 = v1 = v2 = 0.0
        for j in range(log_image.shape[1]):
            low, high = first[i, j], last[i, j]
            y, m = log_image[i, j, low:high], inside[i, j, low:high]
            for n in range(high - low):
                value = y[n]
                u0 = c0 + a0 * (value - m0) * (value - m0)
                u1 = c1 + a1 * (value - m1) * (value - m1)
                u2 = c2 + a2 * (value - m2) * (value - m2)
                top = max(u0, max(u1, u2))
                q0, q1, q2 = _exponential(u0 - top), _exponential(u1 - top), _exponential(u2 - top)
                share = np.float32(m[n]) / (q0 + q1 + q2)
                wide = np.float64(value)
                p0, p1, p2 = np.float64(q0 * share), np.float64(q1 * share), np.float64(q2 * share)
                s0 += p0
                s1 += p1
                s2 += p2
                t0 += p0 * wide
                t1 += p1 * wide
                t2 += p2 * wide
                v0 += p0 * wide * wide
                v1 += p1 * wide * wide
                v2 += p2 * wide * wide
        sums[i, 0, 0], sums[i, 0, 1], sums[i, 0, 2] = s0, t0, v0
        sums[i, 1, 0], sums[i, 1, 1], sums[i, 1, 2] = s1, t1, v1
        sums[i, 2, 0], sums[i, 2, 1], sums[i, 2, 2] = s2, t2, v2


@kernel
def posterior_sums(start, stop, step, posteriors, log_image, field, first, last, sums):
    """Sums of p_k, p_k y and p_k y**2, y without the field, into ``sums`` float64 (I, 3, 3)."""
    for i in range(start, stop, step):
        for k in range(3):
            count = total = square = 0.0
            for j in range(log_image.shape[1]):
                low, high = first[i, j], last[i, j]
                y, f = log_image[i, j, low:high], field[i, j, low:high]
                p = posteriors[k][i + 1, j + 1, low + 1 : high + 1]
                for n in range(high - low):
                    value = np.float64(y[n] - f[n])
                    share = np.float64(p[n])
                    count += share
                    total += share * value
                    square += share * value * value
            sums[i, k, 0], sums[i, k, 1], sums[i, k, 2] = count, total, square


@numba.njit(inline="always")
def _smooth_row(out, rows, center, taps):
    """out = sum over t of taps[|t|] x rows[center + t], for float32 rows of out's length."""
    count = out.shape[0]
    middle = rows[center, :count]
    for n in range(count):
        out[n] = taps[0] * middle[n]
    for t in range(1, taps.shape[0]):
        before, after, tap = rows[center - t, :count], rows[center + t, :count], taps[t]
        for n in range(count):
            out[n] += tap * (before[n] + after[n])


@kernel
def residual(start, stop, step, posteriors, log_image, first, last, gaussians, taps, numerator, denominator):
    """The two images whose low-passed ratio is the field, smoothed along their rows.

    ``numerator`` = sum_k p_k (y0 - mu_k) / var_k and ``denominator`` = sum_k p_k / var_k, y0 the
    uncorrected log image. ``taps`` float32 (radius + 1,): the kernel's half, center first.
    """
    radius = taps.shape[0] - 1
    columns = log_image.shape[2]
    weighted = np.zeros(columns + 2 * radius, np.float32)
    weight = np.zeros(columns + 2 * radius, np.float32)
    m0, m1, m2 = gaussians[0, 0], gaussians[1, 0], gaussians[2, 0]
    # gaussians holds -1 / (2 variance)
    v0, v1, v2 = gaussians[0, 1], gaussians[1, 1], gaussians[2, 1]
    minus_two = np.float32(-2.0)
    for i in range(start, stop, step):
        for j in range(log_image.shape[1]):
            low, high = first[i, j], last[i, j]
            above, below = numerator[i, j], denominator[i, j]
            if low == high:
                above[:] = 0
                below[:] = 0
                continue
            weighted[:] = 0
            weight[:] = 0
            y = log_image[i, j, low:high]
            p0 = posteriors[0][i + 1, j + 1, low + 1 : high + 1]
            p1 = posteriors[1][i + 1, j + 1, low + 1 : high + 1]
            p2 = posteriors[2][i + 1, j + 1, low + 1 : high + 1]
            row, base = weighted[radius + low :], weight[radius + low :]
            for n in range(high - low):
                w0, w1, w2 = minus_two * v0 * p0[n], minus_two * v1 * p1[n], minus_two * v2 * p2[n]
                row[n] = w0 * (y[n] - m0) + w1 * (y[n] - m1) + w2 * (y[n] - m2)
                base[n] = w0 + w1 + w2
            for n in range(columns):
                above[n] = taps[0] * weighted[n + radius]
                below[n] = taps[0] * weight[n + radius]
            for t in range(1, radius + 1):
                tap = taps[t]
                before, after = weighted[radius - t :], weighted[radius + t :]
                for n in range(columns):
                    above[n] += tap * (before[n] + after[n])
                before, after = weight[radius - t :], weight[radius + t :]
                for n in range(columns):
                    below[n] += tap * (before[n] + after[n])


@kernel
def smooth_columns(start, stop, step, image, taps):
    """Low-pass ``image`` (I, J, K) in place along the second axis, with zeros around it."""
    radius = taps.shape[0] - 1
    lines, columns = image.shape[1], image.shape[2]
    padded = np.zeros((lines + 2 * radius, columns), np.float32)
    for i in range(start, stop, step):
        padded[radius : radius + lines] = image[i]
        for j in range(lines):
            _smooth_row(image[i, j], padded, j + radius, taps)


@kernel
def smooth_planes(start, stop, step, image, taps):
    """Low-pass ``image`` (I, J, K) in place along the first axis, with zeros around it.

    ``start`` and ``stop`` count along the second axis.
    """
    radius = taps.shape[0] - 1
    planes, columns = image.shape[0], image.shape[2]
    padded = np.zeros((planes + 2 * radius, columns), np.float32)
    for j in range(start, stop, step):
        padded[radius : radius + planes] = image[:, j]
        for i in range(planes):
            _smooth_row(image[i, j], padded, i + radius, taps)


@kernel
def divide(start, stop, step, numerator, denominator, inside, first, last, sums):
    """``numerator`` /= ``denominator`` in the mask; the quotients' sum by plane into ``sums``."""
    for i in range(start, stop, step):
        total = 0.0
        for j in range(numerator.shape[1]):
            low, high = first[i, j], last[i, j]
            out, below, m = (
                numerator[i, j, low:high],
                denominator[i, j, low:high],
                inside[i, j, low:high],
            )
            for n in range(high - low):
                ratio = out[n] / below[n] if m[n] else np.float32(0)
                out[n] = ratio
                total += np.float64(ratio)
        sums[i] = total


@kernel
def most_probable(start, stop, step, posteriors, inside, first, last, labels):
    """uint8 ``labels`` (I, J, K), zeros before: 1 to 3, of the class with the highest posterior."""
    for i in range(start, stop, step):
        for j in range(labels.shape[1]):
            low, high = first[i, j], last[i, j]
            out, m = labels[i, j, low:high], inside[i, j, low:high]
            p0 = posteriors[0][i + 1, j + 1, low + 1 : high + 1]
            p1 = posteriors[1][i + 1, j + 1, low + 1 : high + 1]
            p2 = posteriors[2][i + 1, j + 1, low + 1 : high + 1]
            for n in range(high - low):
                second = np.uint8(p1[n] > p0[n])
                third = p2[n] > max(p0[n], p1[n])
                out[n] = m[n] * (np.uint8(3) if third else np.uint8(1) + second)
