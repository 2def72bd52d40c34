"""Paho's Python client against a broker: paho_scenarios.py PORT LEVEL, LEVEL 3, 4 or 5.

Prints `ok NAME` or `FAILED NAME: why` for each scenario. paho.test.ts starts it and says which scenarios there are.
"""

import queue
import sys
import traceback

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

PATIENCE_SECONDS = 30
PORT, LEVEL = int(sys.argv[1]), int(sys.argv[2])
IS_5 = LEVEL == 5


class Client:
    """A client that is in, with queues of what happens to it."""

    def __init__(self, client_id, clean=True, expiry=0, will=None):
        arguments = {"client_id": client_id, "protocol": LEVEL}
        if not IS_5:
            arguments["clean_session"] = clean
        if hasattr(mqtt, "CallbackAPIVersion"):  # Paho 2
            arguments["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION1
        self.paho = mqtt.Client(**arguments)
        self.connacks, self.messages, self.subacks = queue.Queue(), queue.Queue(), queue.Queue()
        self.unsubacks, self.published, self.disconnects = queue.Queue(), queue.Queue(), queue.Queue()
        self.paho.on_connect = lambda client, data, flags, reason, *rest: self.connacks.put((flags, reason))
        self.paho.on_message = lambda client, data, message: self.messages.put(message)
        self.paho.on_subscribe = lambda client, data, mid, granted, *rest: self.subacks.put(granted)
        self.paho.on_unsubscribe = lambda client, data, mid, *rest: self.unsubacks.put(mid)
        self.paho.on_publish = lambda client, data, mid, *rest: self.published.put(mid)
        self.paho.on_disconnect = lambda client, data, reason, *rest: self.disconnects.put(reason)
        if will is not None:
            self.paho.will_set(*will)
        options = {}
        if IS_5:
            options["clean_start"] = clean
            options["properties"] = Properties(PacketTypes.CONNECT)
            options["properties"].SessionExpiryInterval = expiry
        self.paho.connect("127.0.0.1", PORT, keepalive=60, **options)
        self.paho.loop_start()
        flags, reason = self.connacks.get(timeout=PATIENCE_SECONDS)
        assert reason == 0, f"refused: {reason}"
        self.session_present = bool(flags["session present"])

    def subscribe(self, *arguments, **options):
        self.paho.subscribe(*arguments, **options)
        return [int(getattr(code, "value", code)) for code in self.subacks.get(timeout=PATIENCE_SECONDS)]

    def unsubscribe(self, topic):
        self.paho.unsubscribe(topic)
        self.unsubacks.get(timeout=PATIENCE_SECONDS)

    def publish(self, topic, payload, **options):
        """Publishes, and waits until the flow is over."""
        self.paho.publish(topic, payload, **options)
        self.published.get(timeout=PATIENCE_SECONDS)

    def take(self, count):
        return [self.messages.get(timeout=PATIENCE_SECONDS) for _ in range(count)]

    def close(self):
        self.paho.disconnect()
        self.disconnects.get(timeout=PATIENCE_SECONDS)
        self.paho.loop_stop()

    def die(self):
        """Breaks the connection without a goodbye."""
        self.paho.loop_stop()
        self.paho.socket().close()


def lines(messages):
    return [f"{message.topic} {message.payload.decode()} {message.qos}" for message in messages]


def every_qos():
    client = Client("every-qos")
    assert client.subscribe([("q/0", 0), ("q/1", 1), ("q/2", 2)]) == [0, 1, 2]
    for granted in range(3):
        for qos in range(3):
            client.publish(f"q/{granted}", f"at {qos}", qos=qos)
            assert lines(client.take(1)) == [f"q/{granted} at {qos} {min(qos, granted)}"]
    client.unsubscribe("q/0")
    client.publish("q/0", "unheard", qos=1)
    client.publish("q/2", "heard", qos=1)
    assert lines(client.take(1)) == ["q/2 heard 1"]
    client.close()


def order():
    client, publisher = Client("order"), Client("order-publisher")
    client.subscribe("n/#", 2)
    for qos in range(3):
        for number in range(500):
            publisher.paho.publish(f"n/{qos}", str(number), qos=qos)
        assert lines(client.take(500)) == [f"n/{qos} {number} {qos}" for number in range(500)]
    large = b"x" * 1_000_000
    publisher.publish("n/large", large, qos=1)
    assert client.take(1)[0].payload == large
    client.close()
    publisher.close()


def retained():
    client = Client("retained")
    client.publish("kept/a", "1", qos=1, retain=True)
    client.publish("kept/b", "2", qos=1, retain=True)
    client.publish("kept/a", None, qos=1, retain=True)
    client.subscribe("kept/#", 1)
    [message] = client.take(1)
    assert (message.topic, message.payload, message.retain) == ("kept/b", b"2", True)
    client.publish("kept/b", None, qos=1, retain=True)
    [message] = client.take(1)
    assert (message.payload, message.retain) == (b"", False)
    client.close()


def will():
    watcher = Client("watcher")
    watcher.subscribe("will/#", 1)
    polite = Client("polite", will=("will/polite", "gone", 1, False))
    broken = Client("broken", will=("will/broken", "gone", 1, False))
    polite.close()
    broken.die()
    assert lines(watcher.take(1)) == ["will/broken gone 1"]
    watcher.close()


def persistent_session():
    client = Client("keeper", clean=False, expiry=300)
    assert not client.session_present
    client.subscribe("away/#", 2)
    client.close()
    publisher = Client("keeper-publisher")
    for number in range(20):
        publisher.publish(f"away/{number}", "m", qos=number % 3)
    publisher.close()
    client = Client("keeper", clean=False, expiry=300)
    assert client.session_present == (LEVEL > 3)  # MQTT 3.1 has no such flag
    expected = [number for number in range(20) if number % 3 > 0]
    came = client.take(len(expected))
    for qos in (1, 2):  # Paho hands over QoS 2 with PUBREL: the order shows within a QoS
        topics = [message.topic for message in came if message.qos == qos]
        assert topics == [f"away/{number}" for number in expected if number % 3 == qos], topics
    client.close()
    client = Client("keeper", clean=True)
    assert not client.session_present
    client.close()


def takeover():
    old = Client("same")
    old.paho.reconnect_delay_set(min_delay=3600, max_delay=3600)
    young = Client("same")
    old.disconnects.get(timeout=PATIENCE_SECONDS)  # without its reason, which Paho 1.6 reads from longer packets only
    young.subscribe("t", 1)
    young.publish("t", "mine", qos=1)
    assert lines(young.take(1)) == ["t mine 1"]
    young.close()
    old.paho.disconnect()


def properties():
    client = Client("properties")
    wanted = Properties(PacketTypes.SUBSCRIBE)
    wanted.SubscriptionIdentifier = 77
    client.subscribe("p", options=SubscribeOptions(qos=1), properties=wanted)
    sent = Properties(PacketTypes.PUBLISH)
    sent.PayloadFormatIndicator = 1
    sent.MessageExpiryInterval = 600
    sent.ContentType = "text/plain"
    sent.ResponseTopic = "answers"
    sent.CorrelationData = b"\x00\xff"
    sent.UserProperty = [("a", "1"), ("b", "2"), ("a", "3")]
    client.publish("p", "hi", qos=1, properties=sent)
    [message] = client.take(1)
    got = message.properties
    assert got.UserProperty == [("a", "1"), ("b", "2"), ("a", "3")], got
    assert (got.ContentType, got.ResponseTopic, got.CorrelationData) == ("text/plain", "answers", b"\x00\xff")
    assert (got.PayloadFormatIndicator, got.MessageExpiryInterval, got.SubscriptionIdentifier) == (1, 600, [77])
    client.close()


def subscription_options():
    client, other = Client("options"), Client("options-other")
    other.publish("o", "old", qos=1, retain=True)
    options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True, retainHandling=2)
    client.subscribe("o", options=options)
    client.publish("o", "own", qos=1)
    other.publish("o", "new", qos=1, retain=True)
    [message] = client.take(1)
    assert (message.payload, message.retain) == (b"new", True)
    client.close()
    other.close()


def shared_subscription():
    members, publisher = [Client("member-1"), Client("member-2")], Client("share-publisher")
    for member in members:
        member.subscribe("$share/g/work", 1)
    for number in range(20):
        publisher.publish("work", str(number), qos=1)
    came = [int(message.payload) for member in members for message in member.take(10)]
    assert sorted(came) == list(range(20)), came
    for client in (*members, publisher):
        client.close()


def main():
    scenarios = [every_qos, order, retained, will, persistent_session, takeover]
    if IS_5:
        scenarios += [properties, subscription_options, shared_subscription]
    for scenario in scenarios:
        name = scenario.__name__.replace("_", " ")
        try:
            scenario()
            print(f"ok {name}", flush=True)
        except Exception as error:  # the next scenario is another matter
            traceback.print_exc()
            print(f"FAILED {name}: {type(error).__name__} {error}", flush=True)


main()
