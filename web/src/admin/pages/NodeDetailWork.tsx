import { api, ok, type Schemas } from "@shared/api/client";
import { StateTag, Unc, When } from "@shared/ui/bits";
import { type Column, ListPage } from "@shared/ui/ListPage";
import { Button, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { Node } from "./NodesParts";
import { StopDialog } from "./Work";

type Replica = Schemas["WorkOut"];

/** The replicas on one node: whose, how long, at what cost; never what is in them. */
export function NodeWork({ node }: { node: Node }) {
  const { t } = useTranslation();
  const [stopping, setStopping] = useState<Replica[]>([]);
  const columns: Column<Replica>[] = [
    {
      title: t("work.owner"),
      dataIndex: "owner_name",
      render: (name, { kind, group_name }) => (
        <>
          <Typography.Text strong>{name}</Typography.Text>
          <Typography.Text type="secondary" className="reason">
            {[t(kind === "notebook" ? "work.notebook" : "work.task"), group_name].filter(Boolean).join(" · ")}
          </Typography.Text>
        </>
      ),
    },
    { title: t("common.status"), dataIndex: "state", render: (state) => <StateTag state={state} /> },
    { title: t("common.spec"), dataIndex: "spec" },
    { title: t("work.chips"), dataIndex: "chips", render: (chips: string[]) => chips.join(", ") || "–" },
    { title: t("common.since"), dataIndex: "since", render: (at) => <When at={at} /> },
    { title: t("work.cost"), dataIndex: "cost", align: "right", render: (cost) => <Unc value={cost} /> },
    {
      key: "actions",
      render: (_, replica) =>
        replica.state !== "stopping" && (
          <Button size="small" danger onClick={() => setStopping([replica])}>
            {t("common.stop")}
          </Button>
        ),
    },
  ];
  return (
    <>
      <ListPage
        local
        searchable={false}
        queryKey={["replicas", { node_id: node.id }]}
        load={(page) => ok(api.GET("/api/v1/replicas", { params: { query: { ...page, node_id: node.id } } }))}
        columns={columns}
        rowKey={(replica) => replica.replica_id}
        empty={t("nodes.noWork")}
      />
      <StopDialog replicas={stopping} onClose={() => setStopping([])} />
    </>
  );
}
