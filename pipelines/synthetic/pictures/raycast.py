"""The room as a camera sees it: every pixel's ray, bent by the true lens, followed to the first surface."""

from __future__ import annotations

import math

import numpy as np

from calibration.lens import compiled, compiled_part
from calibration.projection import undistort
from labsys.core.arrays import FloatArray
from labsys.core.cameras import Camera
from pipelines.synthetic.pictures.light import shade_point

_BELT = 7.0
_LAMP = 5.0
_TINY_M = 1e-4


def pixel_rays(camera: Camera, shift_px: FloatArray) -> FloatArray:
    """Directions (H, W, 3) in LAB of one sample per pixel, of length one along the optical axis; NaN without a ray."""
    width, height = camera.intrinsics.size_px
    columns, rows = np.meshgrid(np.arange(width) + shift_px[0], np.arange(height) + shift_px[1])
    flat = undistort(camera.intrinsics, np.stack([columns, rows], axis=-1))
    rays = np.concatenate([flat, np.ones((*flat.shape[:2], 1))], axis=-1)
    return np.asarray(rays @ camera.T_cam_lab.rotation)


@compiled_part
def _hit_box(origin, ray, box, inside, normal):  # type: ignore[no-untyped-def]  # compiled
    """Distance along the ray to a box, inf without a hit; sets the normal."""
    cos, sin = box[6], box[7]
    px, pz = origin[0] - box[0], origin[2] - box[2]
    ox, oy, oz = cos * px - sin * pz, origin[1] - box[1], sin * px + cos * pz
    dx, dy, dz = cos * ray[0] - sin * ray[2], ray[1], sin * ray[0] + cos * ray[2]
    near, far, axis_near, axis_far = -np.inf, np.inf, 0, 0
    for i in range(3):
        if i == 0:
            o, d, h = ox, dx, box[3]
        elif i == 1:
            o, d, h = oy, dy, box[4]
        else:
            o, d, h = oz, dz, box[5]
        if abs(d) < 1e-12:
            if abs(o) > h:
                return np.inf
            continue
        enter, leave = (-math.copysign(h, d) - o) / d, (math.copysign(h, d) - o) / d
        if enter > near:
            near, axis_near = enter, i
        if leave < far:
            far, axis_far = leave, i
    hit, axis = (far, axis_far) if inside else (near, axis_near)
    if near > far or hit < _TINY_M:
        return np.inf
    d = dx if axis == 0 else (dy if axis == 1 else dz)
    turned = -1.0 if d > 0 else 1.0
    normal[0] = turned * cos if axis == 0 else (turned * sin if axis == 2 else 0.0)
    normal[1] = turned if axis == 1 else 0.0
    normal[2] = -turned * sin if axis == 0 else (turned * cos if axis == 2 else 0.0)
    return hit


@compiled_part
def _hit_rod(origin, ray, rod, normal):  # type: ignore[no-untyped-def]  # compiled
    """Distance along the ray to a rod with round ends, inf without a hit; sets the normal."""
    ax, ay, az = rod[3] - rod[0], rod[4] - rod[1], rod[5] - rod[2]
    ox, oy, oz = origin[0] - rod[0], origin[1] - rod[1], origin[2] - rod[2]
    aa = ax * ax + ay * ay + az * az
    ad = ax * ray[0] + ay * ray[1] + az * ray[2]
    ao = ax * ox + ay * oy + az * oz
    dd = ray[0] * ray[0] + ray[1] * ray[1] + ray[2] * ray[2]
    do = ray[0] * ox + ray[1] * oy + ray[2] * oz
    oo = ox * ox + oy * oy + oz * oz
    best, r2 = np.inf, rod[6] * rod[6]
    a, b, c = aa * dd - ad * ad, aa * do - ao * ad, aa * oo - ao * ao - r2 * aa
    h = b * b - a * c
    if h >= 0.0 and a > 1e-12:
        t = (-b - math.sqrt(h)) / a
        along = ao + t * ad
        if t > _TINY_M and 0.0 < along < aa:
            best = t
    for end in range(2):
        ex, ey, ez = ox - end * ax, oy - end * ay, oz - end * az
        b = ray[0] * ex + ray[1] * ey + ray[2] * ez
        h = b * b - dd * (ex * ex + ey * ey + ez * ez - r2)
        if h >= 0.0:
            t = (-b - math.sqrt(h)) / dd
            if _TINY_M < t < best:
                best = t
    if best < np.inf:
        share = min(max((ao + best * ad) / aa, 0.0), 1.0)
        normal[0] = (ox + best * ray[0] - share * ax) / rod[6]
        normal[1] = (oy + best * ray[1] - share * ay) / rod[6]
        normal[2] = (oz + best * ray[2] - share * az) / rod[6]
    return best


@compiled_part
def _may_hit(origin, ray, ball):  # type: ignore[no-untyped-def]  # compiled
    """Whether a ray passes the ball (middle, squared radius) round a thing: most do not, and need no closer look."""
    x, y, z = ball[0] - origin[0], ball[1] - origin[1], ball[2] - origin[2]
    along = x * ray[0] + y * ray[1] + z * ray[2]
    length = ray[0] * ray[0] + ray[1] * ray[1] + ray[2] * ray[2]
    beside = x * x + y * y + z * z
    return beside <= ball[3] or (along > 0.0 and beside - along * along / length <= ball[3])


@compiled_part
def _first_hit(origin, ray, room, normal, other):  # type: ignore[no-untyped-def]  # compiled
    """Distance to the first surface and the number of its material; sets the normal."""
    best, which, n_boxes = np.inf, -1, room.boxes.shape[0]
    for i in range(room.balls.shape[0]):
        if i > 0 and not _may_hit(origin, ray, room.balls[i]):
            continue
        if i < n_boxes:
            t = _hit_box(origin, ray, room.boxes[i], i == 0, other)
        else:
            t = _hit_rod(origin, ray, room.rods[i - n_boxes], other)
        if t < best:
            best, which = t, i
            normal[0], normal[1], normal[2] = other[0], other[1], other[2]
    return best, which


@compiled_part
def _is_dark(origin, ray, room, other):  # type: ignore[no-untyped-def]  # compiled
    """Whether anything but the room itself stands on the way (0, 1)."""
    n_boxes = room.boxes.shape[0]
    for i in range(1, room.balls.shape[0]):
        if not _may_hit(origin, ray, room.balls[i]):
            continue
        if i < n_boxes:
            t = _hit_box(origin, ray, room.boxes[i], False, other)
        else:
            t = _hit_rod(origin, ray, room.rods[i - n_boxes], other)
        if t < 1.0:
            return True
    return False


@compiled_part
def _noise(i, j, k):  # type: ignore[no-untyped-def]  # compiled
    """A number in [0, 1) that belongs to a cell."""
    h = (i * 374761393 + j * 668265263 + k * 2147483647) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((h ^ (h >> 16)) & 0xFFFF) / 65536.0


@compiled_part
def _mix(point, normal, material):  # type: ignore[no-untyped-def]  # compiled
    """How much of the material's second colour a point shows, 0 to 1."""
    size = material[7]
    if abs(normal[1]) > 0.7:
        u, v = point[0] / size, point[2] / size
    elif abs(normal[0]) > abs(normal[2]):
        u, v = point[2] / size, point[1] / size
    else:
        u, v = point[0] / size, point[1] / size
    pattern = material[6]
    i, j = math.floor(u), math.floor(v)
    if pattern == 1.0:
        joint = 0.008 / size
        edge = min(u - i, v - j) < joint
        return 1.0 if edge else 0.45 * _noise(i, j, 1)
    if pattern == 2.0:
        j = math.floor(v)
        i = math.floor(u / 7.0 + 3.7 * _noise(0, j, 2))
        return 1.0 if v - j < 0.03 else 0.8 * _noise(i, j, 3)
    if pattern == 3.0:
        a, b = u - i, v - j
        low = (1 - a) * _noise(i, j, 4) + a * _noise(i + 1, j, 4)
        high = (1 - a) * _noise(i, j + 1, 4) + a * _noise(i + 1, j + 1, 4)
        return (1 - b) * low + b * high
    if pattern == 4.0:
        return 1.0 if (u - i) < 0.5 else 0.0
    if pattern == 6.0:
        return 1.0 if _noise(i, j, 5) > 0.6 else 0.25 * _noise(i, j, 6)
    return 0.15 * _noise(math.floor(u * 9), math.floor(v * 9), 7)


@compiled
def cast_room(origin, rays, room, light, seed, colour, belt, depth):  # type: ignore[no-untyped-def]  # compiled
    """Add one sample of every pixel to what a camera sees of the room.

    Args:
        origin: (3,) m, the camera. rays: (H, W, 3). seed: moves the point of the lamp that casts the shadows.
        colour: (H, W, 3) gains the light of all but the belt. belt: (H, W, 6) gains, where the belt shows, its share,
            its X and Z in m, and the light on it. depth: (H, W) becomes the distance along the optical axis, m.
    """
    normal, other = np.zeros(3), np.zeros(3)
    point, lamp, here = np.zeros(3), np.zeros(3), np.zeros(3)
    for y in range(rays.shape[0]):
        for x in range(rays.shape[1]):
            ray = rays[y, x]
            if not np.isfinite(ray[0]):
                depth[y, x] = np.inf
                continue
            far, which = _first_hit(origin, ray, room, normal, other)
            depth[y, x] = far
            if which < 0:
                continue
            for c in range(3):
                point[c] = origin[c] + far * ray[c] + 2e-3 * normal[c]
            material = room.materials[which]
            lamp[0] = light.panel_m[0] + (2 * _noise(x, y, 8 + seed) - 1) * light.half_m[0] - point[0]
            lamp[1] = light.panel_m[1] - point[1]
            lamp[2] = light.panel_m[2] + (2 * _noise(x, y, 108 + seed) - 1) * light.half_m[1] - point[2]
            lit = 0.0 if _is_dark(point, lamp, room, other) else 1.0
            shade_point(point, normal, light, lit, here)
            if material[6] == _BELT and normal[1] > 0.5:
                belt[y, x, 0] += 1.0
                belt[y, x, 1] += point[0]
                belt[y, x, 2] += point[2]
                for c in range(3):
                    belt[y, x, 3 + c] += here[c]
                continue
            m = _mix(point, normal, material)
            for c in range(3):
                albedo = (1.0 - m) * material[c] + m * material[3 + c]
                if material[6] == _BELT:
                    albedo = 0.03
                colour[y, x, c] += albedo * (1.0 if material[6] == _LAMP else here[c])
