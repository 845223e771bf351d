import { api, ok, type Schemas } from "../api/client";
import { formatBytes } from "../format";
import { said } from "../i18n/said";
import { Copyable, Moment, When } from "../ui/bits";
import { ErrorCard } from "../ui/ErrorCard";
import { FormDialog } from "../ui/FormDialog";
import { useAct, useConfirm } from "../ui/feedback";
import { type Column, ListPage } from "../ui/ListPage";
import { useQuery } from "@tanstack/react-query";
import { Button, Descriptions, Flex, Form, Input, Modal, Skeleton, Table, Tag, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { FileChooser } from "./FileChooser";
import { type AssetKind, assetPath, jobOf, type Source, uploadInto, uploadVersion } from "./job";
import { UploadBar, UploadProgress } from "./UploadProgress";

type Version = Schemas["VersionOut"];
interface UploadValues {
  note: string;
  sources: Source[];
}
const COLOURS = { draft: "default", processing: "blue", ready: "green", failed: "red" } as const;

/** One asset: its versions, what runs into them, and their files. */
export function AssetDetail({ kind, id }: { kind: AssetKind; id: string }) {
  const { t } = useTranslation();
  const act = useAct();
  const confirm = useConfirm();
  const [files, setFiles] = useState<Version>();
  const [target, setTarget] = useState<"new" | Version>();
  const { data, error, refetch } = useQuery({
    queryKey: [kind, id],
    queryFn: () => ok(api.GET(assetPath(kind, "/{asset_id}"), { params: { path: { asset_id: id } } })),
  });
  if (error && !data) return <ErrorCard error={error} retry={refetch} />;
  if (!data) return <Skeleton active />;
  const mayChange = data.can_change;
  const draft = typeof target === "object" ? target : undefined;
  const path = (version: Version) => ({ params: { path: { asset_id: id, number: version.number } } });

  const columns: Column<Version>[] = [
    {
      title: t("assets.version"),
      dataIndex: "number",
      render: (number) => <Typography.Text strong>v{number}</Typography.Text>,
    },
    {
      title: t("common.status"),
      dataIndex: "status",
      render: (status: Version["status"], version) => {
        const job = jobOf(version.id);
        if (job) return <UploadBar job={job} />;
        return (
          <>
            <Tag color={COLOURS[status]} className={status === "processing" ? "busy" : undefined}>
              {t(`versionStatus.${status}`)}
            </Tag>
            {version.reason && (
              <Typography.Text type={status === "processing" ? "secondary" : "danger"} className="reason">
                {said(version.reason)}
              </Typography.Text>
            )}
          </>
        );
      },
    },
    {
      title: t("files.size"),
      dataIndex: "size",
      render: (size, version) => `${formatBytes(size)} · ${t("files.count", { count: version.files })}`,
    },
    { title: t("assets.note"), dataIndex: "note", render: (note) => note || "–" },
    { title: t("common.created"), dataIndex: "created_at", render: (at) => <When at={at} /> },
    {
      key: "actions",
      render: (_, version) => (
        <span className="tags" style={{ maxWidth: 210 }}>
          {version.status === "ready" && (
            <Button size="small" onClick={() => setFiles(version)}>
              {t("files.title")}
            </Button>
          )}
          {mayChange && version.status === "draft" && !jobOf(version.id) && (
            <>
              <Button size="small" type="primary" onClick={() => setTarget(version)}>
                {t("upload.continue")}
              </Button>
              <Button
                size="small"
                onClick={() =>
                  act(() => ok(api.POST(assetPath(kind, "/{asset_id}/versions/{number}/publish"), path(version))))
                }
              >
                {t("upload.publish")}
              </Button>
            </>
          )}
          {mayChange && (
            <Button
              size="small"
              danger
              onClick={() =>
                confirm({
                  title: t("common.deleteAsk", { name: `${data.name} v${version.number}` }),
                  okText: t("common.delete"),
                  action: async () => {
                    jobOf(version.id)?.drop();
                    await ok(api.DELETE(assetPath(kind, "/{asset_id}/versions/{number}"), path(version)));
                  },
                })
              }
            >
              {t("common.delete")}
            </Button>
          )}
        </span>
      ),
    },
  ];
  const facts = [
    [t("common.name"), data.name],
    [t("common.description"), data.description || "–"],
    [t("assets.sharedWith"), `${t(`visibility.${data.visibility}`)}${data.group ? `: ${data.group.name}` : ""}`],
    [t("assets.owner"), data.owner_name],
    [t("common.created"), <Moment key="created" at={data.created_at} />],
    [t("common.id"), <Copyable key="id" text={data.id} />],
  ] as const;

  return (
    <Flex vertical gap="middle">
      <Descriptions
        size="small"
        bordered
        column={{ xs: 1, md: 2 }}
        items={facts.map(([label, children]) => ({ key: label, label, children }))}
      />
      {data.all_versions.map((version) => {
        const job = jobOf(version.id);
        return job && <UploadProgress key={version.id} job={job} />;
      })}
      <Flex justify="space-between" align="center">
        <Typography.Title level={5} style={{ margin: 0 }}>
          {t("assets.versions")}
        </Typography.Title>
        {mayChange && (
          <Button type="primary" onClick={() => setTarget("new")}>
            {t("assets.newVersion")}
          </Button>
        )}
      </Flex>
      <Table
        columns={columns}
        dataSource={data.all_versions.toSorted((a, b) => b.number - a.number)}
        rowKey={(version) => version.id}
        size="small"
        pagination={false}
        scroll={{ x: "max-content" }}
        locale={{
          emptyText: <Typography.Text type="secondary">{t("assets.noVersions")}</Typography.Text>,
        }}
      />
      <Modal
        title={`${data.name} v${files?.number ?? ""}`}
        open={Boolean(files)}
        onCancel={() => setFiles(undefined)}
        footer={null}
        width={760}
        destroyOnHidden
      >
        {files && <Files kind={kind} id={id} number={files.number} />}
      </Modal>
      <FormDialog<UploadValues, void>
        title={draft ? t("upload.continueOf", { n: draft.number }) : t("assets.newVersion")}
        name="upload"
        width={600}
        open={Boolean(target)}
        onClose={() => setTarget(undefined)}
        initialValues={{ note: "" }}
        okText={t("upload.upload")}
        submit={async ({ note, sources }) =>
          draft ? uploadInto(kind, id, draft, sources) : uploadVersion(kind, id, note, sources)
        }
      >
        <Form.Item
          label={t("upload.what")}
          name="sources"
          extra={t(draft ? "upload.continueHint" : "upload.hint")}
          rules={[{ required: true, message: t("upload.chooseFirst") }]}
        >
          <FileChooser />
        </Form.Item>
        {!draft && (
          <Form.Item label={t("assets.note")} name="note">
            <Input maxLength={2000} />
          </Form.Item>
        )}
      </FormDialog>
    </Flex>
  );
}

function Files({ kind, id, number }: { kind: AssetKind; id: string; number: number }) {
  const { t } = useTranslation();
  const path = { asset_id: id, number };
  const columns: Column<Schemas["FileOut"]>[] = [
    {
      title: t("files.path"),
      dataIndex: "path",
      render: (name: string) => (
        <a href={`/api/v1/${kind}/${id}/versions/${number}/files/content?path=${encodeURIComponent(name)}`} download>
          {name}
        </a>
      ),
    },
    { title: t("files.size"), dataIndex: "size", align: "right", render: (size) => formatBytes(size) },
    {
      title: "SHA-256",
      dataIndex: "sha256",
      render: (hash: string) => <Typography.Text copyable={{ text: hash }}>{hash.slice(0, 12)}…</Typography.Text>,
    },
  ];
  return (
    <ListPage
      queryKey={[kind, id, "files", number]}
      load={(query) => ok(api.GET(assetPath(kind, "/{asset_id}/versions/{number}/files"), { params: { path, query } }))}
      columns={columns}
      rowKey={(file) => file.path}
      empty={t("files.empty")}
      local
    />
  );
}
