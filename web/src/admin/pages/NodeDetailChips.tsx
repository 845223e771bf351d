import { api, MAX_ROWS, ok, type Schemas } from "@shared/api/client";
import { Simulated, When } from "@shared/ui/bits";
import { by, type Column } from "@shared/ui/ListPage";
import { Rows } from "@shared/ui/list/Rows";
import { Meter } from "@shared/ui/Usage";
import { useQuery } from "@tanstack/react-query";
import { Tag, Tooltip, Typography } from "antd";
import { useTranslation } from "react-i18next";
import { Panel } from "./NodeDetail";

type Chip = Schemas["ChipOut"];
const HOT_C = 90;
/** The label by which the agent names the models whose driver has no way to clear a chip (`site/node.py`). */
const NOT_CLEARED = "utcloud.io/memory-not-cleared";

/** The memory of chips comes in powers of two: as their makers say it. */
const gib = (bytes: number) => Math.round((bytes / 2 ** 30) * 10) / 10;

/** The figure with a bar of how much that is of the most there can be. */
function Measured({ text, percent, alarm }: { text: string; percent?: number | null; alarm?: boolean }) {
  return (
    <div style={{ minWidth: 84 }}>
      <Typography.Text className="number" type={alarm ? "danger" : undefined}>
        {text}
      </Typography.Text>
      {percent !== null && percent !== undefined && <Meter percent={percent} alarm={alarm} />}
    </div>
  );
}

/** Its chips, what they measure, and who uses them. */
export function NodeChips({ node }: { node: Schemas["NodeDetail"] }) {
  const { t } = useTranslation();
  const query = { node_id: node.id, limit: MAX_ROWS };
  const work = useQuery({
    queryKey: ["replicas", "of-node", node.id],
    queryFn: () => ok(api.GET("/api/v1/replicas", { params: { query } })),
    enabled: node.chips.some((chip) => chip.attempt_id),
  });
  const users = new Map(work.data?.items.map((one) => [one.attempt_id, one]));
  const kept = node.labels[NOT_CLEARED]?.split(", ") ?? [];
  const measured = node.chips.flatMap((chip) => chip.measured_at ?? []).sort()[0];

  const columns: Column<Chip>[] = [
    {
      title: t("chips.index"),
      dataIndex: "index",
      sorter: by((row) => row.index),
      render: (index) => <Typography.Text strong>#{index}</Typography.Text>,
    },
    {
      title: t("chips.model"),
      dataIndex: "model",
      render: (model, chip) => (
        <>
          <span className="tags">
            {model}
            <Simulated when={chip.simulated} />
          </span>
          {chip.serial && (
            <Typography.Text type="secondary" className="reason">
              <span className="hidden">{t("chips.serial")} </span>
              {chip.serial}
            </Typography.Text>
          )}
          {kept.includes(chip.model) && (
            <Tooltip title={t("chips.notClearedHint")}>
              <Typography.Text type="secondary" className="reason">
                {t("chips.notCleared")}
              </Typography.Text>
            </Tooltip>
          )}
        </>
      ),
    },
    {
      title: t("chips.device"),
      key: "device",
      render: (_, chip) => (
        <>
          <code>{chip.device_paths.join(" ") || "–"}</code>
          <Typography.Text type="secondary" className="reason">
            {[chip.card && `${t("chips.card")} ${chip.card}`, chip.bus_id].filter(Boolean).join(" · ")}
          </Typography.Text>
        </>
      ),
    },
    {
      title: t("common.status"),
      key: "status",
      sorter: by((row) => Number(row.healthy) * 2 + Number(row.in_use)),
      render: (_, chip) =>
        chip.healthy ? (
          <Tag color={chip.in_use ? "blue" : "green"}>{t(chip.in_use ? "chips.inUse" : "chips.free")}</Tag>
        ) : (
          <Tooltip title={t("chips.unhealthyHint")}>
            <Tag color="red">{t("chips.unhealthy")}</Tag>
          </Tooltip>
        ),
    },
    {
      title: t("chips.user"),
      key: "user",
      render: (_, chip) => {
        const one = chip.attempt_id ? users.get(chip.attempt_id) : undefined;
        if (!one) return chip.in_use ? t("chips.inUse") : "–";
        return (
          <>
            {one.owner_name}
            <Typography.Text type="secondary" className="reason">
              {one.group_name}
            </Typography.Text>
          </>
        );
      },
    },
    {
      title: t("chips.utilization"),
      dataIndex: "utilization_percent",
      render: (value: number | null) =>
        value === null ? "–" : <Measured text={`${Math.round(value)} %`} percent={value} />,
    },
    {
      title: t("chips.memory"),
      key: "memory",
      render: (_, { memory_bytes: all, memory_used_bytes: used }) => {
        if (!all) return "–";
        if (used === null) return <span className="number">{gib(all)} GiB</span>;
        return <Measured text={`${gib(used)} / ${gib(all)} GiB`} percent={(used / all) * 100} />;
      },
    },
    {
      title: t("chips.temperature"),
      dataIndex: "temperature_c",
      render: (value: number | null) =>
        value === null ? "–" : <Measured text={`${Math.round(value)} °C`} alarm={value >= HOT_C} />,
    },
    {
      title: t("chips.power"),
      dataIndex: "power_w",
      render: (value: number | null, { power_limit_w: most }) =>
        value === null ? (
          "–"
        ) : (
          <Measured
            text={most ? `${value.toFixed(1)} / ${Math.round(most)} W` : `${value.toFixed(1)} W`}
            percent={most && (value / most) * 100}
          />
        ),
    },
  ];
  return (
    <Panel
      title={t("chips.title")}
      extra={
        measured && (
          <Typography.Text type="secondary">
            {t("chips.measured")} <When at={measured} />
          </Typography.Text>
        )
      }
    >
      <Rows rows={node.chips} columns={columns} rowKey={(chip) => chip.id} empty={t("chips.empty")} small />
    </Panel>
  );
}
