// The counter's events, for as long as the page is open: whatever ends them, they are taken up again.

const SILENCE = 8000; // ms; the counter sends one event a second
const AGAIN = 3000; // ms; for what the browser does not try again by itself

/** Calls `onEvent` with each event's data, and `onLost` with what to say when there are none. */
export function follow(url, { onEvent, onLost }) {
  let source;
  let timer;

  function open() {
    source?.close();
    source = new EventSource(url);
    source.onmessage = (message) => {
      openAfter(SILENCE, "The counter is silent");
      onEvent(JSON.parse(message.data));
    };
    source.onerror = () => {
      const refused = source.readyState === EventSource.CLOSED;
      onLost(refused ? "The counter does not serve this page now" : "Connection lost");
      openAfter(refused ? AGAIN : SILENCE);
    };
  }

  function openAfter(delay, reason) {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (reason) onLost(reason);
      openAfter(SILENCE, reason);
      open();
    }, delay);
  }

  addEventListener("online", open);
  open();
}
