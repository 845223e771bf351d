import { api, ok, type Schemas } from "@shared/api/client";
import { formatBytes } from "@shared/format";
import { useRole, useSession } from "@shared/session";
import { When } from "@shared/ui/bits";
import { FormDialog } from "@shared/ui/FormDialog";
import { useConfirm } from "@shared/ui/feedback";
import { by, type Column, ListPage } from "@shared/ui/ListPage";
import { Button, Drawer, Form, type FormInstance, Input, Select, Tag, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useSearchParams } from "react-router-dom";
import { FileChooser } from "../uploads/FileChooser";
import { type AssetKind, assetPath, type Source, uploadVersion } from "../uploads/job";
import { AssetDetail } from "./AssetDetail";

type Asset = Schemas["AssetOut"];
type Values = Schemas["AssetCreate"] & { sources?: Source[] };

/** Algorithms, datasets or models: named, versioned, private, shared with a group, or preset. */
export function Assets({ kind }: { kind: AssetKind }) {
  const { t } = useTranslation();
  const confirm = useConfirm();
  const [params, setParams] = useSearchParams();
  const [shown, setShown] = useState<string>();
  const [editing, setEditing] = useState<Asset>();
  const creating = params.has("create");
  const setCreating = (on: boolean) => setParams(on ? { create: "1" } : {}, { replace: true });
  const operator = useRole();
  const mayChange = (asset: Asset) => asset.mine || operator;

  const create = async ({ sources, ...body }: Values) => {
    const asset = await ok(api.POST(assetPath(kind, ""), { body }));
    if (sources?.length) await uploadVersion(kind, asset.id, "", sources);
    return asset;
  };

  const columns: Column<Asset>[] = [
    {
      title: t("common.name"),
      dataIndex: "name",
      sorter: by((row) => row.name),
      render: (name, asset) => (
        <>
          <Button type="link" style={{ padding: 0 }} onClick={() => setShown(asset.id)}>
            {name}
          </Button>
          {asset.description && (
            <Typography.Text type="secondary" className="reason">
              {asset.description}
            </Typography.Text>
          )}
        </>
      ),
    },
    {
      title: t("assets.latest"),
      dataIndex: "latest",
      render: (latest: Asset["latest"]) =>
        latest ? <Tag color="green">v{latest.number}</Tag> : <Tag>{t("assets.nothingReady")}</Tag>,
    },
    { title: t("assets.versions"), dataIndex: "versions", align: "right", sorter: by((row) => row.versions) },
    {
      title: t("files.size"),
      key: "size",
      align: "right",
      sorter: by((row) => row.latest?.size),
      render: (_, asset) =>
        asset.latest ? `${formatBytes(asset.latest.size)} · ${t("files.count", { count: asset.latest.files })}` : "–",
    },
    {
      title: t("assets.sharedWith"),
      dataIndex: "visibility",
      sorter: by((row) => row.visibility),
      render: (visibility: Asset["visibility"], asset) => (
        <Tag color={visibility === "private" ? undefined : "blue"}>
          {t(`visibility.${visibility}`)}
          {asset.group && `: ${asset.group.name}`}
        </Tag>
      ),
    },
    { title: t("assets.owner"), dataIndex: "owner_name", sorter: by((row) => row.owner_name) },
    {
      title: t("common.created"),
      dataIndex: "created_at",
      sorter: by((row) => row.created_at),
      render: (at) => <When at={at} />,
    },
    {
      key: "actions",
      render: (_, asset) =>
        mayChange(asset) && (
          <span className="tags">
            <Button size="small" onClick={() => setEditing(asset)}>
              {t("common.edit")}
            </Button>
            <Button
              size="small"
              danger
              onClick={() =>
                confirm({
                  title: t("common.deleteAsk", { name: asset.name }),
                  content: t("assets.deleteHint"),
                  okText: t("common.delete"),
                  action: () =>
                    ok(api.DELETE(assetPath(kind, "/{asset_id}"), { params: { path: { asset_id: asset.id } } })),
                })
              }
            >
              {t("common.delete")}
            </Button>
          </span>
        ),
    },
  ];
  return (
    <>
      <ListPage
        title={t(`menu.${kind}`)}
        about={t(`assets.${kind}.about`)}
        queryKey={[kind]}
        load={(query) => ok(api.GET(assetPath(kind, ""), { params: { query } }))}
        columns={columns}
        rowKey={(asset) => asset.id}
        extra={
          <Button type="primary" onClick={() => setCreating(true)}>
            {t(`assets.${kind}.create`)}
          </Button>
        }
        empty={t(`assets.${kind}.empty`)}
      />
      <FormDialog<Values, Asset>
        title={t(`assets.${kind}.create`)}
        name="create-asset"
        width={600}
        open={creating}
        onClose={() => setCreating(false)}
        initialValues={{ description: "", visibility: "private" }}
        submit={create}
        onDone={(asset) => setShown(asset.id)}
      >
        {(form) => (
          <>
            <AssetFields form={form} />
            <Form.Item label={t("upload.what")} name="sources" extra={t("upload.hint")}>
              <FileChooser />
            </Form.Item>
          </>
        )}
      </FormDialog>
      <FormDialog<Values, unknown>
        title={t("common.editOf", { name: editing?.name })}
        name="edit-asset"
        open={Boolean(editing)}
        onClose={() => setEditing(undefined)}
        initialValues={{
          name: editing?.name,
          description: editing?.description,
          visibility: editing?.visibility,
          group_id: editing?.group?.id,
        }}
        submit={(body) =>
          ok(api.PATCH(assetPath(kind, "/{asset_id}"), { params: { path: { asset_id: editing?.id ?? "" } }, body }))
        }
      >
        {(form) => <AssetFields form={form} />}
      </FormDialog>
      <Drawer
        title={t(`assets.${kind}.detail`)}
        open={Boolean(shown)}
        onClose={() => setShown(undefined)}
        size={940}
        destroyOnHidden
      >
        {shown && <AssetDetail kind={kind} id={shown} />}
      </Drawer>
    </>
  );
}

function AssetFields({ form }: { form: FormInstance<Values> }) {
  const { t } = useTranslation();
  const { user } = useSession();
  const operator = useRole();
  const visibility = Form.useWatch("visibility", form);
  const choices = (["private", "group", "preset"] as const).filter((one) => one !== "preset" || operator);
  return (
    <>
      <Form.Item label={t("common.name")} name="name" rules={[{ required: true, message: t("common.required") }]}>
        <Input autoFocus maxLength={64} />
      </Form.Item>
      <Form.Item label={t("common.description")} name="description">
        <Input />
      </Form.Item>
      <Form.Item label={t("assets.sharedWith")} name="visibility">
        <Select options={choices.map((value) => ({ value, label: t(`visibility.${value}`) }))} />
      </Form.Item>
      {visibility === "group" && (
        <Form.Item
          label={t("assets.group")}
          name="group_id"
          rules={[{ required: true, message: t("common.required") }]}
        >
          <Select
            options={user.groups?.map((group) => ({ value: group.id, label: group.name }))}
            notFoundContent={t("assets.noGroup")}
          />
        </Form.Item>
      )}
    </>
  );
}
