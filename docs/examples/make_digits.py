"""Draws the handwritten-looking digits in digits_calibration.npz and digits_test.npz.

    python make_digits.py FOLDER

Each digit is a set of strokes (poly-lines through a few points, smoothed) that is bent, slanted, scaled and turned a
little, drawn with a round pen, and centred by its mass in a 28 x 28 picture as MNIST's are: uint8, 0 for paper and 255
for ink. The same seed draws the same pictures. Nothing here comes from a data set.
"""

import sys

import numpy as np

SIZE = 28
SEED = 20240917
CALIBRATION = 100
TEST = 500


def arc(cx, cy, rx, ry, start, end, points=14):
    """Points on an ellipse from angle `start` to `end`, degrees, clockwise from the right; y grows downwards."""
    angles = np.radians(np.linspace(start, end, points))
    return [(cx + rx * np.cos(a), cy + ry * np.sin(a)) for a in angles]


# Strokes of each digit in a box of 1 x 1.4, several ways to write some of them.
SHAPES = {
    0: [[arc(0.5, 0.7, 0.38, 0.64, -90, 270, 30)]],
    1: [[[(0.5, 0.05), (0.5, 1.35)]], [[(0.3, 0.35), (0.55, 0.05), (0.55, 1.35)]], [[(0.62, 0.05), (0.4, 1.35)]]],
    2: [
        [arc(0.47, 0.4, 0.38, 0.36, -160, 30) + [(0.6, 0.85), (0.08, 1.32)], [(0.08, 1.32), (0.95, 1.3)]],
        [arc(0.5, 0.42, 0.36, 0.36, -170, 40) + [(0.45, 1.0), (0.12, 1.28), (0.5, 1.24), (0.92, 1.34)]],
    ],
    3: [
        [arc(0.45, 0.36, 0.36, 0.32, -150, 90) + [(0.35, 0.68)], arc(0.45, 1.01, 0.42, 0.34, -90, 150)],
        [arc(0.42, 0.38, 0.38, 0.31, -140, 80), arc(0.44, 1.0, 0.4, 0.34, -80, 140)],
    ],
    4: [
        [[(0.15, 0.08), (0.12, 0.75), (0.9, 0.72)], [(0.75, 0.1), (0.72, 1.36)]],
        [[(0.6, 0.05), (0.08, 0.92), (0.95, 0.9)], [(0.66, 0.4), (0.64, 1.36)]],
    ],
    5: [
        [[(0.85, 0.08), (0.25, 0.08)], [(0.25, 0.08), (0.2, 0.62)], arc(0.42, 0.95, 0.42, 0.38, -120, 140)],
        [[(0.88, 0.1), (0.3, 0.1)], [(0.3, 0.1), (0.22, 0.6)], [(0.22, 0.6)] + arc(0.45, 0.95, 0.38, 0.38, -90, 130)],
    ],
    6: [
        [[(0.68, 0.05), (0.35, 0.4), (0.14, 0.9)] + arc(0.48, 1.0, 0.34, 0.34, 180, -180, 24)],
        [[(0.6, 0.05), (0.25, 0.55), (0.16, 1.0)] + arc(0.5, 1.02, 0.34, 0.32, 170, -160, 24)],
    ],
    7: [
        [[(0.08, 0.12), (0.9, 0.1)], [(0.9, 0.1), (0.55, 0.7), (0.38, 1.36)]],
        [[(0.1, 0.15), (0.5, 0.12), (0.88, 0.12)], [(0.88, 0.12), (0.6, 0.75), (0.5, 1.36)]],
    ],
    8: [
        [arc(0.5, 0.37, 0.3, 0.32, 90, 450, 24), arc(0.5, 1.02, 0.36, 0.34, -90, 270, 24)],
        [arc(0.53, 0.36, 0.28, 0.31, 90, 450, 24), arc(0.47, 1.01, 0.34, 0.35, -90, 270, 24)],
    ],
    9: [
        [arc(0.46, 0.42, 0.34, 0.36, 0, -360, 24), [(0.8, 0.4), (0.78, 0.8), (0.7, 1.36)]],
        [arc(0.45, 0.4, 0.35, 0.34, 20, -340, 24), [(0.8, 0.3), (0.76, 0.9), (0.58, 1.34)]],
    ],
}


def smooth(stroke):
    """The stroke with its corners rounded: two rounds of corner cutting."""
    points = np.array(stroke, dtype=np.float64)
    for _ in range(2):
        if len(points) < 3:
            break
        cut = np.empty((2 * (len(points) - 1), 2))
        cut[0::2] = 0.75 * points[:-1] + 0.25 * points[1:]
        cut[1::2] = 0.25 * points[:-1] + 0.75 * points[1:]
        points = np.vstack([points[:1], cut, points[-1:]])
    return points


def draw(strokes, radius):
    """Ink of strokes in pixel coordinates, 0 to 1, from each pixel's distance to the nearest segment."""
    ys, xs = np.mgrid[0:SIZE, 0:SIZE]
    pixels = np.stack([xs + 0.5, ys + 0.5], axis=-1).astype(np.float64)
    nearest = np.full((SIZE, SIZE), np.inf)
    for stroke in strokes:
        for a, b in zip(stroke[:-1], stroke[1:]):
            along = b - a
            length = max(float(along @ along), 1e-9)
            t = np.clip(((pixels - a) @ along) / length, 0.0, 1.0)
            nearest = np.minimum(nearest, np.linalg.norm(pixels - (a + t[..., None] * along), axis=-1))
    return np.clip(radius + 0.7 - nearest, 0.0, 1.0)


def digit(label, rng):
    """One picture, uint8 [28, 28, 1]."""
    ways = SHAPES[label]
    strokes = [smooth(s) for s in ways[int(rng.integers(len(ways)))]]

    def between(low, high):
        return low + (high - low) * rng.random()

    angle, slant = np.radians(between(-15, 15)), between(-0.1, 0.35)
    width, height = between(10.0, 14.5), between(17.0, 20.0) / 1.4
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    bend, phase = between(0.0, 0.08), between(0.0, 2 * np.pi)
    placed = []
    for points in strokes:
        p = points - [0.5, 0.7]
        p[:, 0] += bend * np.sin(3.0 * p[:, 1] + phase) - slant * p[:, 1]
        placed.append((p * [width, height]) @ turn.T)
    radius = between(0.7, 1.7)
    centre = np.array([SIZE / 2, SIZE / 2])
    ink = draw([p + centre for p in placed], radius)
    ys, xs = np.mgrid[0:SIZE, 0:SIZE]
    mass = np.array([(ink * (xs + 0.5)).sum(), (ink * (ys + 0.5)).sum()]) / ink.sum()
    ink = draw([p + 2 * centre - mass for p in placed], radius)
    return np.round(ink * 255).astype(np.uint8)[..., None]


def pictures(count, rng):
    """count pictures in a mixed order of labels, with the labels."""
    labels = rng.permutation(np.arange(count) % 10).astype(np.uint8)
    return np.stack([digit(int(label), rng) for label in labels]), labels


def main(folder):
    rng = np.random.Generator(np.random.PCG64(SEED))
    x, _ = pictures(CALIBRATION, rng)
    np.savez_compressed(f"{folder}/digits_calibration.npz", x=x)
    x, y = pictures(TEST, rng)
    np.savez_compressed(f"{folder}/digits_test.npz", x=x, y=y)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".")
