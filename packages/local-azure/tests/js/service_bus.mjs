// Microsoft's JavaScript SDK against the Service Bus whose connection string is the first argument.
//
// Each operation below works on entities of its own name and throws if something is not as it should be. Prints one
// line of JSON for each: its name, and what went wrong or null.

import assert from "node:assert/strict";
import { ServiceBusClient } from "@azure/service-bus";

const SOON = { maxWaitTimeInMs: 10_000 };
const NOTHING = { maxWaitTimeInMs: 500 };

const client = new ServiceBusClient(process.argv[2], { retryOptions: { maxRetries: 0, timeoutInMs: 10_000 } });

/** A message with an id, which the SDK wants for some of its own bookkeeping. */
const message = (body, rest = {}) => ({ body, messageId: String(body), ...rest });

/** Sends messages and receives them again, locked. */
async function sendAndReceive(queue, ...bodies) {
  await client.createSender(queue).sendMessages(bodies.map((body) => message(body)));
  const receiver = client.createReceiver(queue);
  const messages = await receiver.receiveMessages(bodies.length, SOON);
  assert.deepEqual(messages.map((received) => received.body), bodies);
  return [receiver, ...messages];
}

const operations = {
  async send(queue) {
    const sent = { body: { a: [1, "ü"] }, messageId: "7", subject: "s", applicationProperties: { half: 0.5, text: "ü" } };
    await client.createSender(queue).sendMessages(sent);
    const [received] = await client.createReceiver(queue).receiveMessages(1, SOON);
    assert.deepEqual(received.body, sent.body);
    assert.equal(received.messageId, "7");
    assert.equal(received.subject, "s");
    assert.deepEqual(received.applicationProperties, sent.applicationProperties);
    assert.equal(received.deliveryCount, 0);
    assert.ok(received.lockedUntilUtc > new Date());
    assert.ok(Math.abs(received.enqueuedTimeUtc - new Date()) < 60_000);
  },

  async batch(queue) {
    const sender = client.createSender(queue);
    const batch = await sender.createMessageBatch();
    for (const body of ["a", "b", "c"]) assert.ok(batch.tryAddMessage(message(body)));
    await sender.sendMessages(batch);
    const messages = await client.createReceiver(queue).receiveMessages(3, SOON);
    assert.deepEqual(messages.map((received) => received.body), ["a", "b", "c"]);
  },

  async complete(queue) {
    const [receiver, received] = await sendAndReceive(queue, "work");
    await receiver.completeMessage(received);
    assert.deepEqual(await receiver.peekMessages(1), []);
  },

  async abandon(queue) {
    const [receiver, received] = await sendAndReceive(queue, "work");
    await receiver.abandonMessage(received, { tried: "once" });
    const [again] = await receiver.receiveMessages(1, SOON);
    assert.equal(again.deliveryCount, 1);
    assert.deepEqual(again.applicationProperties, { tried: "once" });
  },

  async "dead-letter"(queue) {
    const [receiver, received] = await sendAndReceive(queue, "bad");
    await receiver.deadLetterMessage(received, { deadLetterReason: "why", deadLetterErrorDescription: "how", by: "me" });
    const deadLetters = client.createReceiver(queue, { subQueueType: "deadLetter" });
    const [dead] = await deadLetters.receiveMessages(1, SOON);
    assert.equal(dead.deadLetterReason, "why");
    assert.equal(dead.deadLetterErrorDescription, "how");
    assert.equal(dead.applicationProperties.by, "me");
    assert.equal(dead.deadLetterSource, queue);
    await deadLetters.completeMessage(dead);
  },

  async defer(queue) {
    const [receiver, received] = await sendAndReceive(queue, "later");
    await receiver.deferMessage(received);
    assert.deepEqual(await receiver.receiveMessages(1, NOTHING), []);
    const [deferred] = await receiver.receiveDeferredMessages(received.sequenceNumber);
    assert.equal(deferred.body, "later");
    assert.equal(deferred.deliveryCount, 1);
    await receiver.completeMessage(deferred);
    await assert.rejects(receiver.receiveDeferredMessages(received.sequenceNumber), { code: "MessageNotFound" });
  },

  async schedule(queue) {
    const due = new Date(Date.now() + 2_500);
    const [number] = await client.createSender(queue).scheduleMessages(message("later"), due);
    const receiver = client.createReceiver(queue);
    assert.equal((await receiver.peekMessages(1))[0].state, "scheduled");
    const [received] = await receiver.receiveMessages(1, SOON);
    assert.equal(received.body, "later");
    assert.ok(new Date() >= due);
    assert.ok(received.sequenceNumber.gt(number));
  },

  async cancel(queue) {
    const sender = client.createSender(queue);
    const numbers = await sender.scheduleMessages([message("a"), message("b")], new Date(Date.now() + 60_000));
    await sender.cancelScheduledMessages(numbers);
    assert.deepEqual(await client.createReceiver(queue).peekMessages(1), []);
    await assert.rejects(sender.cancelScheduledMessages(numbers[0]), { code: "MessageNotFound" });
  },

  async peek(queue) {
    const [receiver, first] = await sendAndReceive(queue, "a", "b", "c");
    await receiver.deferMessage(first);
    const peeked = [...(await receiver.peekMessages(2)), ...(await receiver.peekMessages(2))];
    assert.deepEqual(peeked.map((seen) => [seen.body, seen.state]), [["a", "deferred"], ["b", "active"], ["c", "active"]]);
  },

  async "renew-lock"(queue) {
    const [receiver, received] = await sendAndReceive(queue, "work");
    const before = received.lockedUntilUtc;
    assert.ok((await receiver.renewMessageLock(received)) > before);
    await receiver.completeMessage(received);
  },

  async "receive-and-delete"(queue) {
    await client.createSender(queue).sendMessages(message("gone"));
    const receiver = client.createReceiver(queue, { receiveMode: "receiveAndDelete" });
    assert.equal((await receiver.receiveMessages(1, SOON))[0].body, "gone");
    assert.deepEqual(await receiver.peekMessages(1), []);
  },

  async session(queue) {
    const sender = client.createSender(queue);
    await sender.sendMessages(["1", "2"].map((body) => message(body, { sessionId: "a" })));
    const receiver = await client.acceptNextSession(queue);
    assert.equal(receiver.sessionId, "a");
    const before = receiver.sessionLockedUntilUtc;
    await assert.rejects(client.acceptSession(queue, "a"), { code: "SessionCannotBeLocked" });
    const [first] = await receiver.receiveMessages(1, SOON);
    assert.equal(first.body, "1");
    await receiver.completeMessage(first);
    await receiver.setSessionState({ done: 1 });
    assert.ok((await receiver.renewSessionLock()) >= before);
    assert.deepEqual((await receiver.peekMessages(9)).map((seen) => seen.body), ["2"]);
    await receiver.close();

    const next = await client.acceptSession(queue, "a");
    assert.deepEqual(await next.getSessionState(), { done: 1 });
    assert.equal((await next.receiveMessages(1, SOON))[0].body, "2");
    await assert.rejects(sender.sendMessages(message("alone")), /SessionId/);
  },

  async subscription(topic) {
    await client.createSender(topic).sendMessages(message("news"));
    for (const subscription of ["one", "other"]) {
      const receiver = client.createReceiver(topic, subscription);
      const [received] = await receiver.receiveMessages(1, SOON);
      assert.equal(received.body, "news");
      await receiver.completeMessage(received);
    }
  },

  async subscribe(queue) {
    const receiver = client.createReceiver(queue);
    const received = [];
    const all = new Promise((resolve, reject) => {
      receiver.subscribe({
        processMessage: async (arrived) => received.push(arrived.body) === 3 && resolve(),
        processError: async ({ error }) => reject(error),
      });
    });
    await client.createSender(queue).sendMessages(["a", "b", "c"].map((body) => message(body)));
    await all;
    assert.deepEqual(received.sort(), ["a", "b", "c"]);
  },

  async "not-found"() {
    await assert.rejects(client.createSender("nowhere").sendMessages(message("x")), { code: "MessagingEntityNotFound" });
  },
};

for (const [name, operation] of Object.entries(operations)) {
  const error = await operation(name).then(() => null, (thrown) => String(thrown.stack ?? thrown));
  console.log(JSON.stringify({ name, error }));
}
await client.close();
