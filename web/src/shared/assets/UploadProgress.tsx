import { formatBytes, formatDuration } from "../format";
import { Alert, Button, Card, Flex, Progress, Table, Tag, Typography } from "antd";
import { useSyncExternalStore } from "react";
import { useTranslation } from "react-i18next";
import type { Item, UploadJob } from "./job";

const percent = (sent: number, total: number) => (total ? Math.floor((sent / total) * 100) : 100);
const COLOURS = { waiting: "default", sending: "blue", done: "green", failed: "red" } as const;

/** How far an upload is, in sum. */
export function UploadBar({ job }: { job: UploadJob }) {
  const { sent, total, status } = useSyncExternalStore(job.subscribe, job.progress);
  return (
    <Progress
      percent={percent(sent, total)}
      size="small"
      status={status === "failed" ? "exception" : "active"}
      style={{ minWidth: 140 }}
    />
  );
}

/** How far an upload is, in sum and for each file; pause and resume. */
export function UploadProgress({ job }: { job: UploadJob }) {
  const { t } = useTranslation();
  const { items, sent, total, speed, status, error } = useSyncExternalStore(job.subscribe, job.progress);
  const done = items.filter((item) => item.status === "done").length;
  const left =
    speed > 0 && status === "sending" ? ` · ${t("upload.left", { time: formatDuration((total - sent) / speed) })}` : "";
  return (
    <Card
      size="small"
      title={t("upload.title", { n: job.version.number })}
      extra={<Tag>{t(`upload.status.${status}`)}</Tag>}
    >
      <Progress
        percent={percent(sent, total)}
        status={status === "failed" ? "exception" : status === "done" ? "success" : "active"}
      />
      <Flex justify="space-between" wrap gap="small" style={{ marginBottom: 8 }}>
        <Typography.Text type="secondary" className="number">
          {formatBytes(sent)} / {formatBytes(total)} · {t("upload.filesDone", { done, count: items.length })}
          {status === "sending" && speed > 0 && ` · ${formatBytes(speed)}/s`}
          {left}
        </Typography.Text>
        <Flex gap="small">
          {status === "sending" && (
            <Button size="small" onClick={() => job.pause()}>
              {t("upload.pause")}
            </Button>
          )}
          {(status === "paused" || status === "failed") && (
            <Button size="small" type="primary" onClick={() => job.resume()}>
              {t("upload.resume")}
            </Button>
          )}
        </Flex>
      </Flex>
      {error && <Alert type="error" showIcon title={error} style={{ marginBottom: 8 }} />}
      <Table<Item>
        size="small"
        virtual
        scroll={{ y: 200, x: 460 }}
        pagination={false}
        rowKey={(item) => item.path}
        dataSource={items as Item[]}
        columns={[
          { title: t("files.path"), dataIndex: "path", ellipsis: true },
          { title: t("files.size"), width: 100, render: (_, item) => formatBytes(item.file.size) },
          {
            title: t("common.status"),
            width: 150,
            render: (_, item) =>
              item.status === "sending" ? (
                <Progress percent={percent(item.sent, item.file.size)} size="small" />
              ) : (
                <Tag color={COLOURS[item.status]}>{t(`upload.item.${item.status}`)}</Tag>
              ),
          },
        ]}
      />
    </Card>
  );
}
