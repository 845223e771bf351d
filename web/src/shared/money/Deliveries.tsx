import { Button, Flex, Tag, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ok, type Schemas } from "../api/client";
import { said } from "../i18n/said";
import { When } from "../ui/bits";
import { Filter } from "../ui/Filter";
import { useAct } from "../ui/feedback";
import { type Column, ListPage } from "../ui/ListPage";

type Delivery = Schemas["DeliveryOut"];
type State = Schemas["DeliveryState"];
const COLOURS: Record<State, string> = { waiting: "gold", delivered: "green", dead: "red" };

/** Messages to one webhook, or by mail: those on their way, those that arrived, those that were given up. */
export function Deliveries({ about, of }: { about: string; of: { webhook_id?: string; channel?: "mail" } }) {
  const { t } = useTranslation();
  const act = useAct();
  const [state, setState] = useState<State>();
  const query = { ...of, state };
  const columns: Column<Delivery>[] = [
    { title: t("notices.at"), dataIndex: "created_at", render: (at) => <When at={at} /> },
    {
      title: t("notices.kind"),
      dataIndex: "kind",
      render: (kind) => t([`notices.kinds.${kind}`, "webhooks.ping"] as never),
    },
    {
      title: t("common.status"),
      dataIndex: "state",
      render: (value: State, one) => (
        <>
          <Tag color={COLOURS[value]}>{t(`webhooks.states.${value}`)}</Tag>
          {one.error && (
            <span className="reason" style={{ overflowWrap: "anywhere" }}>
              {said(one.error)}
            </span>
          )}
        </>
      ),
    },
    { title: t("webhooks.attempts"), dataIndex: "attempts", align: "right" },
    { title: t("webhooks.next"), dataIndex: "next_at", render: (at) => <When at={at} /> },
    {
      key: "actions",
      render: (_, one) =>
        one.state !== "delivered" && (
          <Button
            size="small"
            onClick={() =>
              act(
                () =>
                  ok(api.POST("/api/v1/deliveries/{delivery_id}/retry", { params: { path: { delivery_id: one.id } } })),
                t("webhooks.retried"),
              )
            }
          >
            {t("webhooks.retry")}
          </Button>
        ),
    },
  ];
  return (
    <Flex vertical gap="middle">
      <Typography.Text code style={{ overflowWrap: "anywhere" }}>
        {about}
      </Typography.Text>
      <ListPage
        queryKey={["deliveries", query]}
        load={({ limit, cursor }) =>
          ok(api.GET("/api/v1/deliveries", { params: { query: { limit, cursor, ...query } } }))
        }
        columns={columns}
        rowKey={(one) => one.id}
        searchable={false}
        file={{ path: "/api/v1/deliveries", query }}
        filtered={Boolean(state)}
        filters={
          <Filter
            label={t("common.status")}
            value={state}
            onChange={setState}
            options={(Object.keys(COLOURS) as State[]).map((value) => ({
              value,
              label: t(`webhooks.states.${value}`),
            }))}
          />
        }
        expanded={(one) => (
          <pre style={{ margin: 0, whiteSpace: "pre-wrap" }}>{JSON.stringify(one.payload, null, 2)}</pre>
        )}
        empty={t("webhooks.noDeliveries")}
        local
      />
    </Flex>
  );
}
