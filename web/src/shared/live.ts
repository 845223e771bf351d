import { useEffect } from "react";
import { queryClient } from "./query";

const RETRY_MS = 3_000;

/** While mounted, refetch what is shown whenever the server says that something changed. Reconnects by itself. */
export function useLive(): void {
  useEffect(() => {
    let source: EventSource | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const refetch = () => void queryClient.invalidateQueries();
    const connect = () => {
      source = new EventSource("/api/v1/events");
      source.addEventListener("hello", refetch);
      source.addEventListener("changed", refetch);
      source.onerror = () => {
        // A connection that broke is opened again by the browser; one that was refused is not.
        if (source?.readyState === EventSource.CLOSED) timer = setTimeout(connect, RETRY_MS);
      };
    };
    connect();
    return () => {
      source?.close();
      clearTimeout(timer);
    };
  }, []);
}
