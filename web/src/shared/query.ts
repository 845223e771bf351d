import { QueryClient } from "@tanstack/react-query";
import { ApiError } from "./api/problem";

/** Events make pages quick; this interval is the safety net, and moves what grows by itself (accrued amounts). */
const REFRESH_MS = 10_000;

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 1_000,
      refetchInterval: REFRESH_MS,
      retry: (count, error) => {
        const status = error instanceof ApiError ? error.problem.status : 0;
        return count < 2 && (status === 0 || status >= 500);
      },
    },
  },
});
