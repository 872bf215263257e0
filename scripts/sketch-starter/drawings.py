"""Turns images into drawings that resemble pen sketches: outlines and strong edges, dark on white, with an unsteady line and missing parts."""
import numpy as np
from scipy import ndimage


def edges(picture, rng):
    """Returns the thin edges of an image [H, W, 3] in [0, 1] as bool [H, W]: local maxima of the steepest channel's gradient (Canny)."""
    smooth = ndimage.gaussian_filter(picture, (sigma := rng.uniform(0.8, 1.8), sigma, 0))
    dy, dx = ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1)
    slope = np.hypot(dx, dy)
    channel = slope.argmax(2)[..., None]
    dy, dx, slope = (np.take_along_axis(a, channel, 2)[..., 0] for a in (dy, dx, slope))
    direction = np.round(np.arctan2(dy, dx) / (np.pi / 4)).astype(int) % 4
    ridge = np.zeros(slope.shape, bool)
    for d, (y, x) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        ahead, behind = (np.roll(slope, (s * y, s * x), (0, 1)) for s in (-1, 1))
        ridge |= (direction == d) & (slope >= ahead) & (slope > behind)
    low = rng.uniform(0.15, 0.6)
    parts, count = ndimage.label(ridge & (slope > low), np.ones((3, 3)))
    strongest = ndimage.maximum(slope, parts, np.arange(count + 1))
    return (strongest > 2 * low)[parts] & (parts > 0)


def outline(picture):
    """Returns the outline of everything that is not white background, bool [H, W]."""
    shape = ndimage.binary_fill_holes(picture.min(2) < 0.93)
    return shape & ~ndimage.binary_erosion(shape)


def forget(lines, rng):
    """Removes small strokes, a few others, and some circular areas."""
    parts, count = ndimage.label(lines, np.ones((3, 3)))
    if count:
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        keep = (sizes >= rng.integers(3, 14)) & (rng.random(count + 1) >= rng.uniform(0, 0.25))
        keep[1 + sizes[1:].argmax()], keep[0] = True, False
        lines = keep[parts]
    y, x = np.ogrid[: lines.shape[0], : lines.shape[1]]
    for _ in range(rng.integers(0, 4)):
        cy, cx = rng.integers(0, lines.shape)
        lines = lines & ((y - cy) ** 2 + (x - cx) ** 2 > rng.uniform(2, 7) ** 2)
    return lines


def ink(lines, rng):
    """Draws the lines with a random width, darkness and unsteadiness: [H, W] in [0, 1], 1 is white paper."""
    if not lines.any():
        return np.ones(lines.shape)
    distance = ndimage.distance_transform_edt(~lines)
    wobble = [ndimage.gaussian_filter(rng.standard_normal(lines.shape), 7) * 17.7 * rng.uniform(0, 1.2) for _ in range(2)]  # 17.7 restores unit variance
    places = np.indices(lines.shape) + np.array(wobble)
    distance = ndimage.map_coordinates(distance, places, order=1, mode='nearest')
    drawn = np.clip(rng.uniform(0.5, 2.0) + 0.5 - distance, 0, 1)
    return 1 - rng.choice([1.0, rng.uniform(0.35, 1)]) * drawn


def draw(picture, rng):
    """Returns a drawing, uint8 [H, W], of an image, uint8 [H, W, 3]."""
    x = picture.astype(np.float32) / 255
    manner = rng.random()
    lines = outline(x) if manner < 0.12 else edges(x, rng)
    if 0.12 <= manner < 0.6:
        lines = lines | outline(x)
    page = ink(forget(lines, rng), rng)
    if rng.random() < 0.4:
        page = ndimage.gaussian_filter(page, rng.uniform(0.2, 0.7))
    return np.round(page * 255).astype(np.uint8)


def vary(picture, rng, flips=True):
    """Returns the image moved and scaled on a white background and mirrored with probability 0.5; uint8 [H, W, 3]."""
    side = picture.shape[0]
    scale, shift = rng.uniform(0.95, 1.3), rng.uniform(-6, 6, 2)
    matrix = np.diag([scale, -scale if flips and rng.random() < 0.5 else scale, 1.0])
    center = np.full(2, (side - 1) / 2)
    offset = np.append(center - matrix[:2, :2] @ (center + shift), 0)
    return np.clip(ndimage.affine_transform(picture.astype(np.float32), matrix, offset, order=1, mode='constant', cval=255), 0, 255).round().astype(np.uint8)
