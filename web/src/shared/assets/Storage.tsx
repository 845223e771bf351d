import { useQuery } from "@tanstack/react-query";
import { App, Button, Card, Flex, Form, Input, InputNumber, Skeleton, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ok, type Schemas } from "../api/client";
import { formatBytes } from "../format";
import { ErrorCard } from "../ui/ErrorCard";
import { FormDialog } from "../ui/FormDialog";
import { UsageBar } from "../ui/UsageBar";

type Storage = Schemas["StorageOut"];
type Values = Schemas["StorageUpdate"];

/** Uploads are refused when it is 100, so what is nearly full does not say so before it is. */
const percent = (used: number, most: number) => (used >= most ? 100 : Math.floor((used / most) * 100));

/** How much of one's storage is used, in bytes and in files. */
export function StorageBars({ storage }: { storage: Storage }) {
  const { t, i18n } = useTranslation();
  const count = (value: number) => value.toLocaleString(i18n.language);
  const lines = [
    {
      label: t("storage.bytes"),
      words: t("storage.used", { used: formatBytes(storage.used_bytes), most: formatBytes(storage.max_bytes) }),
      full: percent(storage.used_bytes, storage.max_bytes),
      more: storage.uploading_bytes
        ? ` · ${t("storage.uploading", { size: formatBytes(storage.uploading_bytes) })}`
        : "",
    },
    {
      label: t("storage.files"),
      words: t("storage.used", { used: count(storage.used_files), most: count(storage.max_files) }),
      full: percent(storage.used_files, storage.max_files),
      more: "",
    },
  ];
  return (
    <Flex vertical gap={4}>
      {lines.map((line) => (
        <UsageBar key={line.label} {...line} />
      ))}
    </Flex>
  );
}

/** One's own storage, where one uploads. It is no reason to hide the page when it cannot be had. */
export function MyStorage() {
  const { t } = useTranslation();
  const { data } = useQuery({ queryKey: ["storage", "mine"], queryFn: () => ok(api.GET("/api/v1/storage/mine")) });
  if (!data) return null;
  return (
    <section aria-label={t("storage.mine")} style={{ maxWidth: 460, marginBottom: 16 }}>
      <Typography.Text strong>{t("storage.mine")}</Typography.Text>
      <StorageBars storage={data} />
      <Typography.Text type="secondary" className="reason">
        {t("storage.about")}
      </Typography.Text>
    </section>
  );
}

/** What a user keeps, and for operators how much he may. */
export function StorageCard({ userId, canChange }: { userId: string; canChange: boolean }) {
  const { t } = useTranslation();
  const [editing, setEditing] = useState(false);
  const path = { user_id: userId };
  const { data, error, refetch } = useQuery({
    queryKey: ["storage", userId],
    queryFn: () => ok(api.GET("/api/v1/users/{user_id}/storage", { params: { path } })),
  });
  return (
    <Card
      size="small"
      title={<h4 className="card-title">{t("storage.title")}</h4>}
      extra={
        canChange && (
          <Button size="small" disabled={!data} onClick={() => setEditing(true)}>
            {t("storage.edit")}
          </Button>
        )
      }
    >
      {error && !data ? (
        <ErrorCard error={error} retry={refetch} />
      ) : data ? (
        <>
          <StorageBars storage={data} />
          <Typography.Text type="secondary" className="reason">
            {t(data.own_bytes === null && data.own_files === null ? "storage.everybody" : "storage.own")}
          </Typography.Text>
        </>
      ) : (
        <Skeleton active paragraph={{ rows: 2 }} title={false} />
      )}
      {data && <StorageDialog storage={data} open={editing} onClose={() => setEditing(false)} />}
    </Card>
  );
}

function StorageDialog({ storage, open, onClose }: { storage: Storage; open: boolean; onClose: () => void }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  return (
    <FormDialog<Values, Storage>
      title={t("storage.of", { name: storage.username })}
      name="storage"
      open={open}
      onClose={onClose}
      initialValues={{
        max_bytes: storage.own_bytes === null ? "" : exactBytes(storage.own_bytes),
        max_files: storage.own_files,
      }}
      submit={({ max_bytes, max_files }) =>
        ok(
          api.PUT("/api/v1/users/{user_id}/storage", {
            params: { path: { user_id: storage.user_id } },
            body: { max_bytes: max_bytes?.trim() || null, max_files: max_files ?? null },
          }),
        )
      }
      onDone={() => message.success(t("storage.saved"))}
      intro={<Typography.Paragraph type="secondary">{t("storage.hint")}</Typography.Paragraph>}
    >
      <Form.Item label={t("storage.bytes")} name="max_bytes" extra={t("storage.bytesHint")}>
        <Input maxLength={32} placeholder={t("storage.asEverybody")} />
      </Form.Item>
      <Form.Item label={t("storage.files")} name="max_files">
        <InputNumber
          min={0}
          max={10 ** 12}
          precision={0}
          placeholder={t("storage.asEverybody")}
          style={{ width: 200 }}
        />
      </Form.Item>
    </FormDialog>
  );
}

/** Bytes as one writes them, and as the server reads the same number: `500GB`, else the figure itself. */
export function exactBytes(bytes: number): string {
  for (const [unit, size] of [
    ["TB", 1e12],
    ["GB", 1e9],
    ["MB", 1e6],
    ["KB", 1e3],
  ] as const)
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  return String(bytes);
}
