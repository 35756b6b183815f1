"""Several stations on one socket: the contract of each is that of a station alone."""

from __future__ import annotations

from sample_messages import samples, status_message
from subscribers import PlainSubscriber, until

from birdwatch.messaging.messages import Envelope
from birdwatch.messaging.publisher import Publisher
from birdwatch.messaging.station_publisher import StationPublisher


def envelope(name: str) -> Envelope:
    return Envelope(station=name, source=f"{name} microphone", boot_id=f"boot-{name}")


def joined(publisher: Publisher, count: int, subscriber: PlainSubscriber) -> None:
    def step() -> None:
        publisher.poll()
        subscriber.socket.poll(5)

    until(lambda: publisher.subscriptions >= count, step)


def test_each_station_has_its_own_name_boot_id_and_numbers() -> None:
    with Publisher("tcp://127.0.0.1:*", envelope("garden")) as publisher:
        pond = StationPublisher(publisher, envelope("pond"))
        with PlainSubscriber(publisher.endpoint) as subscriber:
            joined(publisher, 1, subscriber)
            for message in samples():
                publisher.publish(message)
                pond.publish(message)
            values = [subscriber.receive() for _ in range(2 * len(samples()))]
    for name in ("garden", "pond"):
        own = [value for value in values if value["station"] == name]
        assert [value["seq"] for value in own] == [1, 2, 3, 4, 5]
        assert {value["boot_id"] for value in own} == {f"boot-{name}"}
        assert own[-1]["last_seq"] == 4
    assert (publisher.last_seq, pond.last_seq) == (5, 5)


def test_a_new_subscriber_is_greeted_by_those_that_it_asks_for_and_that_are_still_there() -> None:
    with Publisher("tcp://127.0.0.1:*", envelope("garden")) as publisher:
        stations = [StationPublisher(publisher, envelope(name)) for name in ("pond", "shed")]
        for station in stations:
            station.publish(status_message())
        stations[1].leave()
        with PlainSubscriber(publisher.endpoint, "birdwatch/1/status/pond/", "birdwatch/1/status/shed/") as subscriber:
            until(lambda: bool(subscriber.socket.poll(5)), publisher.poll)
            value = subscriber.receive()
            assert (value["station"], value["seq"]) == ("pond", 2)
            publisher.poll()
            assert subscriber.receives_nothing(0.2)


def test_the_source_and_the_filter_can_be_named_later() -> None:
    with Publisher("tcp://127.0.0.1:*", envelope("garden")) as publisher:
        pond = StationPublisher(publisher, envelope("pond"))
        with PlainSubscriber(publisher.endpoint, "birdwatch/1/status/pond/") as subscriber:
            joined(publisher, 1, subscriber)
            pond.describe(source="ALSA/pond", filter_text="2 of 3 species, by list")
            pond.publish(status_message())
            value = subscriber.receive()
    assert (value["source"], value["filter"]) == ("ALSA/pond", "2 of 3 species, by list")
