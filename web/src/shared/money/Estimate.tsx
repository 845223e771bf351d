import { useQuery } from "@tanstack/react-query";
import { Alert } from "antd";
import { useDeferredValue } from "react";
import { useTranslation } from "react-i18next";
import { api, ok, type Schemas } from "../api/client";
import { formatDuration, formatUnc } from "../format";
import { said, together } from "../i18n/said";
import { Unc } from "../ui/bits";
import { useRefused } from "../ui/sending";

type Estimated = Schemas["EstimateOut"];
export type Wish = Pick<Schemas["EstimateCreate"], "pool_id" | "spec_id" | "kind" | "tasks"> & {
  payer?: "user" | "group";
  group_id?: string;
  max_cost?: string;
  max_hours?: number;
};

const HOUR_S = 3600;
const UNC = /^\d{1,10}(\.\d{1,6})?$/;

/** What a start would cost, who could pay for it, and what would end it when: asked of the server, said in words. */
export function Estimate({ wish }: { wish: Wish }) {
  const { t } = useTranslation();
  const body = useDeferredValue(toBody(wish));
  const { data } = useQuery({
    queryKey: ["estimates", body],
    queryFn: () => ok(api.POST("/api/v1/estimates", { body })),
    enabled: body.payer === "user" || Boolean(body.group_id),
    placeholderData: (previous) => previous,
    retry: false,
  });
  const refused = useRefused();
  // The form says it already.
  if (!data || (data.refusal && refused)) return null;
  const low = data.hours_possible !== null && data.hours_possible < 1 && data.ends_by === "wallet";
  return (
    <Alert
      type={data.refusal ? "error" : low ? "warning" : "info"}
      style={{ marginBottom: 16 }}
      role="status"
      title={
        data.refusal ? (
          t("estimate.refused")
        ) : (
          <>
            {t("notebooks.estimate")}: <Unc value={data.price} perHour strong />
          </>
        )
      }
      description={data.refusal ? together(data.refusal, data.cure) : <Words estimate={data} />}
    />
  );
}

function Words({ estimate }: { estimate: Estimated }) {
  const { t } = useTranslation();
  const { cost, hold, available, hours_possible, ends_by } = estimate;
  const counted = hours_possible === null ? estimate.hours : Math.min(estimate.hours, hours_possible);
  const known = ["wallet", "max_cost", "max_hours"] as const;
  const end = known.find((name) => name === ends_by);
  return (
    <>
      <div>
        {t("estimate.costs", {
          time: formatDuration(counted * HOUR_S),
          cost: formatUnc(cost),
          hold: formatUnc(hold),
        })}{" "}
        {t("estimate.available", { amount: formatUnc(available) })}
      </div>
      <div>
        {hours_possible === null
          ? t("estimate.forever")
          : t("estimate.lasts", {
              time: formatDuration(hours_possible * HOUR_S),
              ends: end ? t(`estimate.ends.${end}`) : t("estimate.ends.cap", { cap: said(ends_by) }),
            })}{" "}
        {t("estimate.kept")}
      </div>
    </>
  );
}

/** A limit that is half typed is left out: its field says what is wrong with it. */
function toBody({ max_cost, max_hours, payer = "user", group_id, ...wish }: Wish): Schemas["EstimateCreate"] {
  return {
    ...wish,
    payer,
    group_id: payer === "group" ? group_id : null,
    max_cost: max_cost && UNC.test(max_cost) && Number(max_cost) > 0 ? max_cost : null,
    max_hours: max_hours ?? null,
    hours: max_hours ?? 1,
  };
}
