import { useQuery } from "@tanstack/react-query";
import { api, ok, type Schemas } from "../api/client";

/** What one can hear of. */
export const KINDS: Schemas["NoticeKind"][] = [
  "low_balance",
  "stop_announced",
  "workload_stopped",
  "order_settled",
  "recharged",
  "credited",
];

/** What one hears by mail, and how many notices one has not seen. */
export function useNoticeSettings() {
  return useQuery({ queryKey: ["notices", "settings"], queryFn: () => ok(api.GET("/api/v1/notices/settings")) });
}
