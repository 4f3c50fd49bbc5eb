"""A street scene and everything that is true of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from oneglance.annotations import HIDDEN, VISIBLE, Instance, Instances, Label, Points, Segments
from oneglance.errors import OneglanceError
from oneglance.formats import rle
from oneglance.street import effects
from oneglance.street.backdrop import CAR, CLASSES, PERSON, ROAD, TREE, VOID, corner_houses, draw_backdrop
from oneglance.street.bodywork import draw_car
from oneglance.street.camera import Camera
from oneglance.street.canvas import Array, Drawn, Picture, Stage
from oneglance.street.car import Car, footprint, nearest
from oneglance.street.face import PEOPLE, name_of
from oneglance.street.furniture import Post, draw_post
from oneglance.street.layout import Layout, choose_camera, choose_layout, place_cars, place_people, played_by
from oneglance.street.light import WEATHERS, Light, choose_light
from oneglance.street.person import Person, draw_person
from oneglance.street.plants import Tree, choose_tree, draw_tree

#: The classes of the objects.
OBJECTS = ("car", "person", "face", "plate")
#: An object is labelled where it shows at least so many pixels, and at least this share of what it would show if
#: nothing stood before it.
LEAST_PIXELS, LEAST_SHARE = 12, 0.15
#: Share of scenes in which there is nobody and nothing.
QUIET = 0.03


@dataclass(frozen=True)
class Scene:
    """A drawn street scene.

    ``image`` uint8 [H, W, 3] RGB. ``weather``: one of ``light.WEATHERS``. ``objects``: what shows at least
    ``LEAST_PIXELS`` pixels and ``LEAST_SHARE`` of itself, of the classes ``OBJECTS``: the mask (``rle``) of the part
    that is seen, the box tight around it; the attribute `visible`, the share of it
    that nothing stands before; cars with the attributes `colour` and `body`; people and faces with their
    identity; faces with the five points ``face.POINTS`` (left and right are the image's), plates with the four corners
    ``plate.CORNERS`` (as one who reads the plate sees them). A point is VISIBLE where its object is what is seen there,
    else HIDDEN: behind something, or outside the image. A face lies within its person's mask and a plate within its
    car's, and is labelled only where that is; otherwise masks are disjoint. ``truncated``: the object reaches beyond
    the image. ``ground``: index into ``backdrop.CLASSES``, 255 (void) on lamp posts and signs.
    """

    image: Picture
    weather: Label
    objects: Instances
    ground: Segments


@dataclass
class Thing:
    """Something on the stage that gets a number: its class, and what is said of it; ``whole``: whose part it is."""

    label: str
    number: int
    beyond: bool
    whole: int = 0
    points: Array | None = None
    identity: str | None = None
    attributes: dict[str, str | float] = field(default_factory=dict)


def draw_scene(
    seed: int,
    size: tuple[int, int] = (256, 256),
    weather: str | None = None,
    zoom: float = 1.0,
    cast: Sequence[int] | None = None,
) -> Scene:
    """Scene number ``seed``: the same bytes on every call.

    Args:
        seed: which scene.
        size: width and height, at least 64 each.
        weather: one of ``WEATHERS``; drawn by the seed where it is None.
        zoom: how much longer the camera's focal length is than that of a street's usual picture, at least 1: what it
            shows is nearer and less, and people are placed where they are seen.
        cast: the people, from 0 to ``PEOPLE`` - 1, who may be on this street; None: all. Nobody is there twice as long
            as there are enough of them.
    """
    if zoom < 1:
        raise OneglanceError(f"a scene's zoom is at least 1, not {zoom:g}")
    if cast is not None and not (cast and all(0 <= who < PEOPLE for who in cast)):
        raise OneglanceError(f"a cast is made of people from 0 to {PEOPLE - 1}, at least one of them")
    if min(size) < 64:
        raise OneglanceError(f"a street scene needs at least 64 x 64 pixels, not {size[0]} x {size[1]}")
    if weather is not None and weather not in WEATHERS:
        raise OneglanceError(f"no weather is called {weather!r}; known: {', '.join(WEATHERS)}")
    rng = np.random.default_rng((seed, 0x57EE7))
    light = choose_light(rng, weather)
    layout = choose_layout(rng)
    camera = choose_camera(rng, layout, size)
    camera = replace(camera, focal=camera.focal * zoom)
    stage = draw_backdrop(rng, layout, camera, light, size)
    things = _Players(rng, stage, layout, camera, light, size, cast).perform()
    image = effects.precipitate(rng, stage.image, light)
    image = effects.photograph(rng, image, light.night)
    objects: dict[int, Instance] = {}
    owned, parted = (np.bincount(numbers.ravel(), minlength=len(things) + 1) for numbers in (stage.owner, stage.part))
    for thing in things:  # a whole comes before its part, which is labelled only where the whole is
        area = int((parted if thing.whole else owned)[thing.number])
        item = labelled(thing, stage, area) if not thing.whole or thing.whole in objects else None
        if item is not None:
            objects[thing.number] = item
    return Scene(
        np.ascontiguousarray(image), Label(light.weather), Instances(tuple(objects.values())),
        Segments(indices=stage.classes, classes=CLASSES),
    )  # fmt: skip


class _Players:
    """Everything that stands on the stage, placed from the far end to the camera."""

    def __init__(
        self,
        rng: np.random.Generator,
        stage: Stage,
        layout: Layout,
        camera: Camera,
        light: Light,
        size: tuple[int, int],
        cast: Sequence[int] | None,
    ) -> None:
        self.cast = cast
        self.rng, self.stage, self.layout, self.camera, self.light, self.size = rng, stage, layout, camera, light, size
        self.things: list[Thing] = []
        self.corner = corner_houses(stage, layout, camera)

    def perform(self) -> list[Thing]:
        """Put everything on the stage; gives what can be labelled."""
        rng, layout, camera, light = self.rng, self.layout, self.camera, self.light
        posts = self._posts()
        quiet = rng.random() < QUIET
        cars = [] if quiet else place_cars(rng, layout, camera)
        people = [] if quiet else place_people(rng, layout, camera, light, cars)
        people = people if self.cast is None else played_by(people, self.cast)
        self._shadows(cars, people)
        if light.night:
            for post in posts:
                if post.what == "lamp":
                    x = post.at[0] - post.side * 1.5
                    effects.light_pool(self.stage, camera, x, post.at[1], 6.5, (255, 208, 140), 1.25)
            effects.light_pool(self.stage, camera, camera.x, 9.0, 8.5, (255, 244, 214), 0.8)
        acts: list[tuple[float, Callable[[], None]]] = []
        acts += [(nearest(car) + 0.4, self._act_car(car)) for car in cars]
        acts += [(person.at[1], self._act_person(person)) for person in people]
        acts += [(post.at[1], self._act_post(post)) for post in posts]
        acts += [(tree.at[1], self._act_tree(tree)) for tree in self._trees()]
        for _, act in sorted(acts, key=lambda pair: -pair[0]):
            act()
        return self.things

    # -- who is there -----------------------------------------------------------------------------------------------

    def _free(self, z: float, margin: float) -> bool:
        crossing = self.layout.crossing
        return crossing is None or not crossing[0] - margin < z < crossing[1] + margin

    def _posts(self) -> list[Post]:
        rng, layout = self.rng, self.layout
        posts: list[Post] = []
        for side in (-1, 1):
            if rng.random() < 0.75 or self.light.night:
                tall, pitch = float(rng.uniform(5, 7)), float(rng.uniform(13, 20))
                for z in np.arange(rng.uniform(4, 14), 70, pitch).tolist():
                    if self._free(z, 1):
                        posts.append(Post("lamp", (side * (layout.road + 0.35), z), side, tall, 0))
            if rng.random() < 0.5:
                z = float(rng.uniform(6, 22))
                posts.append(
                    Post(
                        "sign",
                        (side * (layout.road + 0.45), z),
                        side,
                        float(rng.uniform(2.2, 2.8)),
                        int(rng.integers(12)),
                    )
                )
        if layout.crossing is not None and rng.random() < 0.6:
            number = int(rng.integers(3))
            posts += [
                Post("lights", (s * (layout.road + 0.4), layout.crossing[0] - 0.4), s, 3.2, number) for s in (-1, 1)
            ]
        return [post for post in posts if self._apart(post.at)]

    def _apart(self, at: tuple[float, float]) -> bool:
        """Whether what stands there does not stand right before the camera."""
        return at[1] > 9 or abs(at[0] - self.camera.x) > 0.22 * at[1] + 0.5

    def _trees(self) -> list[Tree]:
        rng, layout, light = self.rng, self.layout, self.light
        trees: list[Tree] = []
        family = int(rng.integers(16))
        for side, park in zip((-1, 1), layout.park, strict=True):
            if rng.random() < 0.55:
                pitch = float(rng.uniform(7, 13))
                for z in np.arange(rng.uniform(4, 12), 75, pitch).tolist():
                    if self._free(z, 1.5):
                        trees.append(choose_tree(rng, (side * (layout.road + 0.8), z), light, family))
            if park:
                for z in np.exp(rng.uniform(np.log(5), np.log(layout.end), 26)).tolist():
                    x = side * (layout.front + rng.uniform(0.5, 4) + 0.05 * z * rng.uniform(0, 2))
                    if self._free(z, 2):
                        trees.append(choose_tree(rng, (float(x), z), light, family + int(rng.integers(2))))
        return [tree for tree in trees if self._apart(tree.at)]

    def _shadows(self, cars: list[Car], people: list[Person]) -> None:
        for car in cars:
            if car.at[1] < 45:
                effects.cast_shadow(self.stage, self.camera, footprint(car, 0.06), self.light, car.shape.height)
        for person in people:
            if person.at[1] < 25:
                x, z = person.at
                feet = np.array(
                    [[x + dx, 0, z + dz] for dx, dz in ((-0.24, -0.1), (0.24, -0.1), (0.24, 0.12), (-0.24, 0.12))]
                )
                effects.cast_shadow(self.stage, self.camera, feet, self.light, person.tall * 0.8)

    # -- putting it on the stage ------------------------------------------------------------------------------------

    def _act_car(self, car: Car) -> Callable[[], None]:
        def act() -> None:
            drawn = draw_car(car, self.camera, self.size, self.light)
            if drawn is None:
                return
            thing = self._thing("car", drawn)
            thing.attributes = {"colour": car.paint, "body": car.shape.name}
            part = 0
            if drawn.points is not None:
                plate = self._thing("plate", drawn)
                plate.points, plate.whole, part = drawn.points, thing.number, plate.number
            self._place(
                drawn, car.at[1], CAR, thing.number, part, self.corner if abs(np.sin(car.heading)) > 0.7 else None
            )

        return act

    def _act_person(self, person: Person) -> Callable[[], None]:
        def act() -> None:
            drawn = draw_person(person, self.camera, self.size, self.light)
            if drawn is None:
                return
            thing = self._thing("person", drawn)
            thing.identity = name_of(person.identity)
            part = 0
            if drawn.points is not None:
                face = self._thing("face", drawn)
                face.points, face.identity, face.whole = drawn.points, thing.identity, thing.number
                part = face.number
            self._place(drawn, person.at[1], PERSON, thing.number, part)

        return act

    def _act_post(self, post: Post) -> Callable[[], None]:
        def act() -> None:
            drawn = draw_post(post, self.camera, self.size, self.light)
            if drawn is not None:
                self._place(drawn, post.at[1], VOID)

        return act

    def _act_tree(self, tree: Tree) -> Callable[[], None]:
        def act() -> None:
            drawn = draw_tree(tree, self.camera, self.size, self.light)
            if drawn is not None:
                self._place(drawn, tree.at[1], TREE)

        return act

    def _thing(self, label: str, drawn: Drawn) -> Thing:
        thing = Thing(label, len(self.things) + 1, drawn.beyond)
        self.things.append(thing)
        return thing

    def _place(
        self, drawn: Drawn, z: float, kind: int, number: int = 0, part: int = 0, hidden: NDArray[np.bool_] | None = None
    ) -> None:
        if self.light.wet and kind in (CAR, PERSON, TREE):
            effects.reflect(self.stage, drawn.sprite, drawn.ground, 0.42)
        self.stage.place(drawn.sprite, kind, number, part, self.light.veil(z), hidden)
        strength = {"night": 0.95, "fog": 0.42, "rain": 0.5}.get(self.light.weather, 0.35)
        height, width = self.stage.classes.shape
        for at, radius, colour in drawn.lamps:
            column, row = min(max(int(at[0]), 0), width - 1), min(max(int(at[1]), 0), height - 1)
            if hidden is not None and hidden[row, column]:
                continue
            effects.shine(self.stage.image, at, radius * 1.5, colour, strength)
            if self.light.wet and kind == CAR and 0 <= at[1] < self.size[1]:
                below = (at[0], 2 * drawn.ground - at[1])
                column = min(max(int(at[0]), 0), self.size[0] - 1)
                row = min(max(int(below[1]), 0), self.size[1] - 1)
                if self.stage.classes[row, column] == ROAD:
                    effects.shine(self.stage.image, below, radius * 0.7, colour, strength * 0.6, 2.6)


def labelled(thing: Thing, stage: Stage, area: int) -> Instance | None:
    """What is said of a thing of which ``area`` pixels are seen, None where that is too little."""
    if area < LEAST_PIXELS or area < LEAST_SHARE * stage.full.get(thing.number, 0):
        return None
    mask = (stage.part if thing.whole else stage.owner) == thing.number
    encoded = rle.encode(mask)
    points = None
    if thing.points is not None:
        points = Points(thing.points.astype(np.float32), _visibility(thing.points, mask))
    return Instance(
        thing.label, rle.box(encoded), rle=encoded, points=points, identity=thing.identity,
        attributes={**thing.attributes, "visible": round(area / max(stage.full.get(thing.number, 0), area), 3)},
        area=float(area), truncated=thing.beyond,
    )  # fmt: skip


def _visibility(points: Array, mask: np.ndarray) -> np.ndarray:
    """VISIBLE where the mask is next to a point, a hair's breadth towards the points' middle; HIDDEN elsewhere."""
    middle = points.mean(0)
    toward = middle - points
    inward = points + toward * np.minimum(1, 0.75 / np.maximum(np.linalg.norm(toward, axis=1, keepdims=True), 1e-6))
    x, y = np.floor(inward).astype(int).T
    height, width = mask.shape
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    inside &= (points >= 0).all(1) & (points <= (width, height)).all(1)
    seen = np.zeros(len(points), bool)
    seen[inside] = mask[y[inside], x[inside]]
    return np.where(seen, VISIBLE, HIDDEN).astype(np.int8)
