"""Which source goes to which shard: everything once, evenly, and the same everywhere."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import UsageError
from tfrec_cli.sources.listing import Listing, Source
from tfrec_cli.writing import plan, survey
from tfrec_cli.writing.options import WriteOptions
from tfrec_cli.writing.plan import Plan
from tfrec_cli.writing.survey import Item


def item(path: str, height: int = 50, width: int = 60, size: int = 1000) -> Item:
    return Item(Source(path.encode(), size, 0), height, width)


def made(items: list[Item | Reject], rejects: tuple[Reject, ...] = (), **changes: Any) -> Plan:
    sources = tuple(one.source for one in items if isinstance(one, Item))
    listing = Listing(sources=sources, labels=None, rejects=rejects, warnings=())
    return plan.make(listing, items, WriteOptions(**changes))


def paths(planned: Plan) -> list[list[bytes]]:
    return [[one.source.path for one in shard] for shard in planned.shards]


ITEMS: list[Item | Reject] = [item(f"a/{number:02}.jpg") for number in range(20)]

some_items = st.lists(
    st.builds(item, st.text("ab/", min_size=1, max_size=6), size=st.integers(0, 10**6)),
    min_size=1,
    max_size=40,
    unique_by=lambda one: one.source.path,
)
seeds = st.none() | st.integers(0, 2**32)


class TestShards:
    def test_that_are_taken_are_kept_no_longer(self) -> None:
        planned = made(ITEMS, shards=4)
        shards = planned.shards
        assert [tuple(planned.take(number)) for number in (2, 0)] == [shards[2], shards[0]]
        assert planned.shards == ((), shards[1], (), shards[3])
        assert (planned.records, planned.sizes) == (20, (5, 5, 5, 5))

    @given(some_items, st.integers(1, 40), seeds)
    def test_hold_every_source_once(self, items: list[Item], shards: int, seed: int | None) -> None:
        planned = made([*items], shards=min(shards, len(items)), shuffle_seed=seed)
        written = [one for shard in planned.shards for one in shard]
        assert sorted(written, key=str) == sorted(items, key=str)

    @given(some_items, st.integers(1, 40), seeds)
    def test_sizes_are_within_one(self, items: list[Item], shards: int, seed: int | None) -> None:
        count = min(shards, len(items))
        sizes = [len(s) for s in made([*items], shards=count, shuffle_seed=seed).shards]
        assert (len(sizes), max(sizes) - min(sizes) <= 1) == (count, True)

    @given(some_items, st.integers(1, 40), seeds, st.randoms(use_true_random=False))
    def test_do_not_depend_on_the_order_of_listing(
        self, items: list[Item], shards: int, seed: int | None, random: Any
    ) -> None:
        changes = {"shards": min(shards, len(items)), "shuffle_seed": seed}
        shuffled = random.sample(items, len(items))
        assert made([*items], **changes) == made(shuffled, **changes)

    def test_another_seed_gives_another_order(self) -> None:
        assert paths(made(ITEMS, shuffle_seed=0)) != paths(made(ITEMS, shuffle_seed=1))

    def test_the_default_order_is_not_that_of_the_paths(self) -> None:
        assert paths(made(ITEMS, shuffle_seed=0)) != paths(made(ITEMS, shuffle_seed=None))

    def test_without_a_seed_the_order_is_that_of_the_paths(self) -> None:
        found = paths(made(ITEMS[::-1], shuffle_seed=None, shards=3))
        expected = [one.source.path for one in ITEMS if isinstance(one, Item)]
        assert found == [expected[:6], expected[6:13], expected[13:]]

    def test_as_many_as_their_size_asks_for(self) -> None:
        """20 records of 1,000 + 160 bytes are 23,200 bytes."""
        assert len(made(ITEMS, shard_size=10_000).shards) == 3

    def test_crops_count_by_their_own_size(self) -> None:
        """20 records of 10 * 10 * 3 + 160 bytes are 9,200 bytes."""
        planned = made(ITEMS, shard_size=4_600, crop=(10, 10))
        assert (len(planned.shards), planned.estimated_bytes) == (2, 9_200)

    def test_no_images_are_one_empty_shard(self) -> None:
        assert made([]).shards == ((),)

    def test_as_many_as_images_is_the_most(self) -> None:
        assert [len(shard) for shard in made(ITEMS, shards=20).shards] == [1] * 20

    def test_more_than_images_is_an_error(self) -> None:
        with pytest.raises(UsageError) as error:
            made(ITEMS, shards=21)
        assert str(error.value) == "shards 21: found 20 images, expected one for each shard"


class TestDigest:
    def test_is_the_same_for_the_same_plan(self) -> None:
        assert made(ITEMS).sha256 == made(ITEMS[::-1]).sha256

    @pytest.mark.parametrize("shards", [2, 7, 20])
    def test_is_the_same_wherever_shards_begin(self, shards: int) -> None:
        assert made(ITEMS, shards=shards).sha256 == made(ITEMS).sha256

    @pytest.mark.parametrize(
        "other",
        [
            made(ITEMS[:-1]),
            made([*ITEMS[:-1], item("a/19.jpg", size=1001)]),
            made([*ITEMS[:-1], item("a/19.jpeg")]),
            made([*ITEMS[:-1], Item(Source(b"a/19.jpg", 1000, 1), 50, 60)]),
            made(ITEMS, shuffle_seed=1),
        ],
        ids=["fewer", "size", "name", "label", "seed"],
    )
    def test_is_another_for_another(self, other: Plan) -> None:
        assert other.sha256 != made(ITEMS).sha256


class TestSmall:
    GOOD = tuple(item(f"a/{number:02}.jpg") for number in range(20))
    SMALL = item("a/small.jpg", 50, 59)
    TOO_SMALL = Reject(
        b"a/small.jpg",
        "too_small",
        "found 50x59 pixels, expected at least 50x60 (--small skip, pad or resize)",
    )

    @pytest.mark.parametrize("small", ["fail", "skip"])
    def test_is_rejected(self, small: str) -> None:
        planned = made([*ITEMS, self.SMALL], crop=(50, 60), small=small)
        assert (planned.records, planned.rejects) == (20, (self.TOO_SMALL,))

    @pytest.mark.parametrize("small", ["pad", "resize"])
    def test_is_taken_where_it_is_enlarged(self, small: str) -> None:
        planned = made([*ITEMS, self.SMALL], crop=(50, 60), small=small)
        assert (planned.records, planned.rejects) == (21, ())

    @pytest.mark.parametrize("size", [(50, 59), (49, 60), (50, 60)])
    @pytest.mark.parametrize("small", ["skip", "pad"])
    @pytest.mark.parametrize("cut", [0, 1, 20, 21])
    def test_is_found_in_a_pack(self, size: tuple[int, int], small: str, cut: int) -> None:
        items = [*self.GOOD, item("a/small.jpg", *size)]
        packs = [survey.packed(items[:cut]), survey.packed(), survey.packed(items[cut:])]
        listing = Listing(sources=(), labels=None, rejects=(), warnings=())
        options = {"crop": (50, 60), "small": small}
        assert plan.make(listing, packs, WriteOptions(**options)) == made(list(items), **options)

    def test_does_not_matter_to_whole_images(self) -> None:
        assert made([item("a", 1, 1)]).records == 1

    @pytest.mark.parametrize("small", ["fail", "skip"])
    def test_a_crop_larger_than_every_image_is_an_error(self, small: str) -> None:
        with pytest.raises(UsageError) as error:
            made([*ITEMS, item("a/wide.jpg", 40, 80)], crop=(51, 60), small=small)
        assert str(error.value) == (
            "crop: found no image of 51x60 or more, the largest is 40x80, expected a smaller crop"
        )


class TestRejects:
    def test_of_listing_and_headers_are_sorted_by_path(self) -> None:
        hidden, bad = Reject(b"b/.x", "hidden", "", harmless=True), Reject(b"a/x", "corrupt", "")
        assert made([*ITEMS, bad], (hidden,)).rejects == (bad, hidden)

    def test_two_paths_of_one_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Which no two files are likely ever to have: 56 bits."""
        monkeypatch.setattr(plan, "key_of", lambda path: int(path[2:4]) % 19)
        planned = made(ITEMS, shuffle_seed=None)
        assert (planned.records, planned.rejects) == (
            19,
            (
                Reject(
                    b"a/19.jpg",
                    "key_collision",
                    "found the key of a/00.jpg, expected one of its own: rename one of the two",
                ),
            ),
        )

    def test_are_counted_by_reason(self) -> None:
        rejects = [Reject(b"", reason, "", harmless=reason == "b") for reason in "cabca"]
        found = [plan.count_reasons(rejects, harmless=harmless) for harmless in (False, True)]
        assert found == [{"a": 2, "c": 2}, {"b": 1}]
