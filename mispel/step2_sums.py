"""The compiled sums over voxels that `mispel.step2_optimum` needs: loss, gradient, second derivatives, in one reading.

Our own, since whole-array operations (numpy, torch) read and write each voxel's rows a dozen times.
"""

from __future__ import annotations

import numpy as np

from core.kernels import kernel

BLOCK = 512
"""Voxels worked on at a time, so that they stay in the processor's cache."""


@kernel
def row_sums(embeddings, images, weights, region, coefficients, width, relu, second):
    """Sums over B slices of P voxels, float64.

    embeddings: for each scanner (B, L, P). images: for each scanner (B, P). weights: (B, rows), the M
    reconstruction rows x_i - o_i first, then the pairs' rows o_i - o_k. region: (B, P), or (0, 0) for all
    voxels. coefficients: (M, L). width: below which absolute values are rounded (Huber). relu: whether
    outputs are cut at 0. second: whether the last four sums are wanted, 0 otherwise.

    Returns the rows' losses (rows,); slopes x images; the rounded loss's gradient (M, L) and second
    derivatives x width (M L, M L); the same second derivatives with each row's weight times its slack,
    1 - |slope| (M L, M L); slack x image x gradient of the reconstruction rows (M, L); the largest absolute
    embeddings (M, L).
    """
    slices, maps, voxels = embeddings[0].shape
    scanners = len(embeddings)
    rows = weights.shape[1]
    size = scanners * maps
    losses = np.zeros(rows)
    bound = 0.0
    gradient = np.zeros((scanners, maps))
    newton = np.zeros((size, size))
    slack = np.zeros((size, size))
    slack_images = np.zeros((scanners, maps))
    largest = np.zeros((scanners, maps))
    z = np.empty((scanners, maps, BLOCK))
    x = np.empty((scanners, BLOCK))
    outputs = np.empty((scanners, BLOCK))
    active = np.ones((scanners, BLOCK))
    slopes = np.empty((scanners, BLOCK))
    counts = np.empty(BLOCK)
    inside = np.empty((rows, BLOCK))
    giving = np.empty((rows, BLOCK))
    inside_of = np.empty((scanners, BLOCK))
    giving_of = np.empty((scanners, BLOCK))
    one = np.empty((maps, BLOCK))
    two = np.empty((maps, BLOCK))
    weighted = np.empty(BLOCK)
    given = np.empty(BLOCK)
    chosen = np.empty(BLOCK, np.int64)
    narrowness = 1 / width

    for b in range(slices):
        for start in range(0, voxels, BLOCK):
            n = min(BLOCK, voxels - start)
            for p in range(n):
                counts[p] = region[b, start + p] if region.shape[0] else 1.0
            for i in range(scanners):
                source, target, output = images[i][b, start : start + n], x[i], outputs[i]
                for p in range(n):
                    target[p] = source[p]
                    output[p] = 0.0
                    slopes[i, p] = 0.0
                for m in range(maps):
                    source, target, coefficient = embeddings[i][b, m, start : start + n], z[i, m], coefficients[i, m]
                    for p in range(n):
                        target[p] = source[p]
                        output[p] += coefficient * target[p]
                if relu:
                    for p in range(n):
                        active[i, p] = 1.0 if output[p] > 0 else 0.0
                        output[p] *= active[i, p]

            row = scanners
            for i in range(scanners):
                for k in range(i, scanners):
                    index = i if k == i else row
                    weight = weights[b, index]
                    first, other, slope, opposite = outputs[i], outputs[k], slopes[i], slopes[k]
                    image, within, gives = x[i], inside[index], giving[index]
                    total = 0.0
                    if k == i:
                        from_images = 0.0
                        for p in range(n):
                            w = weight * counts[p]
                            t = (image[p] - first[p]) * narrowness
                            total += w * abs(t)
                            y = w * min(max(t, -1.0), 1.0)
                            slope[p] -= y
                            from_images += y * image[p]
                            within[p] = w if abs(t) < 1.0 else 0.0
                            gives[p] = w * max(1.0 - abs(t), 0.0)
                        bound += from_images
                    else:
                        row += 1
                        for p in range(n):
                            w = weight * counts[p]
                            t = (first[p] - other[p]) * narrowness
                            total += w * abs(t)
                            y = w * min(max(t, -1.0), 1.0)
                            slope[p] += y
                            opposite[p] -= y
                            within[p] = w if abs(t) < 1.0 else 0.0
                            gives[p] = w * max(1.0 - abs(t), 0.0)
                    losses[index] += total * width

            for i in range(scanners):
                slope = slopes[i]
                if relu:
                    for p in range(n):
                        slope[p] *= active[i, p]
                for m in range(maps):
                    values = z[i, m]
                    total = 0.0
                    for p in range(n):
                        total += slope[p] * values[p]
                    gradient[i, m] += total

            if not second:
                continue
            row = scanners
            for i in range(scanners):
                for p in range(n):
                    inside_of[i, p] = inside[i, p]
                    giving_of[i, p] = giving[i, p]
            for i in range(scanners):
                for k in range(i + 1, scanners):
                    for p in range(n):
                        inside_of[i, p] += inside[row, p]
                        inside_of[k, p] += inside[row, p]
                        giving_of[i, p] += giving[row, p]
                        giving_of[k, p] += giving[row, p]
                    row += 1
            row = scanners
            for i in range(scanners):
                for m in range(maps):
                    values, image, gives = z[i, m], x[i], giving[i]
                    total = 0.0
                    most = largest[i, m]
                    for p in range(n):
                        total -= gives[p] * values[p] * image[p]
                        most = max(most, abs(values[p]))
                    slack_images[i, m] += total
                    largest[i, m] = most
                for k in range(i, scanners):
                    within = inside_of[i] if k == i else inside[row]
                    gives = giving_of[i] if k == i else giving[row]
                    sign = 1.0 if k == i else -1.0
                    row += k > i
                    # only the few rows that are rounded here matter
                    found = 0
                    for p in range(n):
                        if within[p] > 0.0 and active[i, p] * active[k, p] > 0.0:
                            chosen[found] = p
                            found += 1
                    for m in range(maps):
                        for q in range(found):
                            one[m, q] = z[i, m, chosen[q]]
                            two[m, q] = z[k, m, chosen[q]]
                    for m in range(maps):
                        values = one[m]
                        for q in range(found):
                            weighted[q] = sign * within[chosen[q]] * values[q]
                            given[q] = sign * gives[chosen[q]] * values[q]
                        for o in range(m if k == i else 0, maps):
                            others = two[o]
                            total, total_given = 0.0, 0.0
                            for q in range(found):
                                total += weighted[q] * others[q]
                                total_given += given[q] * others[q]
                            newton[i * maps + m, k * maps + o] += total
                            slack[i * maps + m, k * maps + o] += total_given

    for m in range(size):
        for o in range(m):
            newton[m, o] = newton[o, m]
            slack[m, o] = slack[o, m]
    return losses, bound, gradient, newton, slack, slack_images, largest
