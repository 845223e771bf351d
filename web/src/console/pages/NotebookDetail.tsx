import { api, ok, type Schemas } from "@shared/api/client";
import { said } from "@shared/i18n/said";
import { Copyable, Moment, Simulated, StateTag, Unc } from "@shared/ui/bits";
import { ErrorCard } from "@shared/ui/ErrorCard";
import type { Column } from "@shared/ui/ListPage";
import { useQuery } from "@tanstack/react-query";
import { Descriptions, Flex, Skeleton, Table, Timeline, Typography } from "antd";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import { NotebookActions } from "./Notebooks";

const COLOURS: Record<string, string> = { running: "green", failed: "red", stopped: "gray", stopping: "orange" };

/** One notebook: its replicas, its costs, what happened to it, its last words. */
export function NotebookDetail({ id, onOpen, onGone }: { id: string; onOpen: () => void; onGone: () => void }) {
  const { t } = useTranslation();
  const { data, error, refetch } = useQuery({
    queryKey: ["notebooks", id],
    queryFn: () => ok(api.GET("/api/v1/notebooks/{notebook_id}", { params: { path: { notebook_id: id } } })),
  });
  if (error && !data) return <ErrorCard error={error} retry={refetch} />;
  if (!data) return <Skeleton active />;

  const replicas: Column<Schemas["ReplicaOut"]>[] = [
    { title: t("notebooks.subtask"), dataIndex: "subtask" },
    {
      title: t("common.status"),
      dataIndex: "state",
      render: (state, replica) => (
        <>
          <StateTag state={state} />
          <Typography.Text type="secondary" className="reason">
            {said(replica.reason)}
          </Typography.Text>
        </>
      ),
    },
    { title: t("work.node"), dataIndex: "node", render: (node) => node || "–" },
    { title: t("notebooks.attempt"), dataIndex: "attempt" },
    { title: t("charges.start"), dataIndex: "started_at", render: (at) => <Moment at={at} /> },
    { title: t("charges.end"), dataIndex: "ended_at", render: (at) => <Moment at={at} /> },
  ];
  const facts = [
    [
      t("common.name"),
      <span key="name" className="tags">
        {data.name} <Simulated when={data.simulated} />
      </span>,
    ],
    [
      t("common.status"),
      <span key="state" className="tags">
        <StateTag state={data.state} /> {said(data.reason)}
      </span>,
    ],
    [
      t("notebooks.cost"),
      <span key="cost" className="tags">
        <Unc value={data.cost} strong />
        <Link to={`/time-management?tab=orders&search=${encodeURIComponent(data.name)}`}>{t("orders.tab")}</Link>
      </span>,
    ],
    [t("common.price"), <Unc key="price" value={data.price} perHour />],
    [t("common.algorithm"), data.algorithm || "–"],
    [t("common.dataset"), data.dataset || "–"],
    [t("common.image"), data.image],
    [t("common.spec"), data.spec],
    [t("common.pool"), data.pool],
    [t("common.created"), <Moment key="created" at={data.created_at} />],
    [t("common.id"), <Copyable key="id" text={data.id} />],
  ] as const;

  return (
    <Flex vertical gap="middle">
      <NotebookActions notebook={data} onOpen={onOpen} onGone={onGone} />
      {data.description && <Typography.Text>{data.description}</Typography.Text>}
      <Descriptions
        size="small"
        bordered
        column={{ xs: 1, md: 2 }}
        items={facts.map(([label, children]) => ({ key: label, label, children }))}
      />
      <Typography.Title level={5}>{t("notebooks.replicas")}</Typography.Title>
      <Table
        columns={replicas}
        dataSource={data.replicas}
        rowKey={(replica) => replica.id}
        size="small"
        pagination={false}
        scroll={{ x: "max-content" }}
      />
      <Typography.Title level={5}>{t("notebooks.timeline")}</Typography.Title>
      <Timeline
        items={data.timeline.toReversed().map((event) => ({
          key: `${event.at}${event.replica_id}${event.to_state}`,
          color: COLOURS[event.to_state] ?? "blue",
          content: (
            <>
              <span className="tags">
                <StateTag state={event.to_state} />
                <Typography.Text>{event.subtask}</Typography.Text>
                {event.attempt > 1 && (
                  <Typography.Text type="secondary">{t("charges.attempt", { n: event.attempt })}</Typography.Text>
                )}
                <Typography.Text type="secondary">
                  <Moment at={event.at} />
                </Typography.Text>
              </span>
              <Typography.Text type="secondary" className="reason">
                {said(event.reason)}
              </Typography.Text>
            </>
          ),
        }))}
      />
      {data.log_tail && (
        <>
          <Typography.Title level={5}>{t("notebooks.log")}</Typography.Title>
          <pre className="log">{data.log_tail}</pre>
        </>
      )}
    </Flex>
  );
}
