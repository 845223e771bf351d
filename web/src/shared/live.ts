import { useEffect } from "react";
import { queryClient } from "./query";

const RETRY_MS = 3_000;
const refetch = () => void queryClient.invalidateQueries({ predicate: (query) => query.queryKey[0] !== "session" });

/**
 * While mounted, refetch what is shown whenever the server says that something changed. Reconnects by itself.
 * Hidden tabs let go of their connection: a browser has only six for one origin over plain HTTP.
 */
export function useLive(): void {
  useEffect(() => {
    let source: EventSource | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let fresh = true;

    const close = () => {
      source?.close();
      source = undefined;
      clearTimeout(timer);
    };
    const open = () => {
      close();
      source = new EventSource("/api/v1/events");
      source.addEventListener("changed", refetch);
      source.addEventListener("hello", () => {
        if (!fresh) refetch();
        fresh = false;
      });
      source.onerror = () => {
        // A connection that broke is opened again by the browser; one that was refused is not.
        if (source?.readyState === EventSource.CLOSED) timer = setTimeout(open, RETRY_MS);
      };
    };
    const follow = () => (document.hidden ? close() : open());

    follow();
    document.addEventListener("visibilitychange", follow);
    return () => {
      document.removeEventListener("visibilitychange", follow);
      close();
    };
  }, []);
}
