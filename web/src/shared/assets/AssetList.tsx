import { Button, Drawer, Form, type FormInstance, Input, Select, Tag, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useSearchParams } from "react-router-dom";
import { useAddress } from "../address";
import { api, ok, type Schemas } from "../api/client";
import { formatBytes } from "../format";
import { useRole, useSession } from "../session";
import { When } from "../ui/bits";
import { Filter } from "../ui/Filter";
import { FormDialog } from "../ui/FormDialog";
import { useConfirm } from "../ui/feedback";
import { type Column, ListPage } from "../ui/ListPage";
import { AssetDetail } from "./AssetDetail";
import { FileChooser } from "./FileChooser";
import { type AssetKind, assetPath, type Source, uploadVersion } from "./job";
import { MyStorage } from "./Storage";

type Asset = Schemas["AssetOut"];
type Visibility = Asset["visibility"];
type Values = Schemas["AssetCreate"] & { sources?: Source[] };
const VISIBILITIES: Visibility[] = ["private", "group", "preset"];

interface Props {
  kind: AssetKind;
  /** Only those for everybody, which operators keep. */
  preset?: boolean;
}

/** Algorithms, datasets or models: named, versioned, private, shared with a group, or preset. */
export function AssetList({ kind, preset }: Props) {
  const { t } = useTranslation();
  const confirm = useConfirm();
  const [params, setParams] = useSearchParams();
  const [visibility, setVisibility] = useAddress<Visibility>("visibility");
  const [shown, setShown] = useState<string>();
  const [editing, setEditing] = useState<Asset>();
  const operator = useRole();
  const [began, setCreating] = useState(false);
  const creating = began || params.has("create");
  const endCreating = () => {
    setCreating(false);
    if (params.has("create")) setParams({}, { replace: true });
  };
  const wanted = preset ? "preset" : visibility;

  const create = async ({ sources, ...body }: Values) => {
    const asset = await ok(api.POST(assetPath(kind, ""), { body: preset ? { ...body, visibility: "preset" } : body }));
    if (sources?.length) await uploadVersion(kind, asset.id, "", sources);
    return asset;
  };

  const columns: Column<Asset>[] = [
    {
      title: t("common.name"),
      dataIndex: "name",
      sort: "name",
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
    { title: t("assets.versions"), dataIndex: "versions", align: "right", sort: "versions" },
    {
      title: t("files.size"),
      key: "size",
      align: "right",
      sort: "size",
      render: (_, asset) =>
        asset.latest ? `${formatBytes(asset.latest.size)} · ${t("files.count", { count: asset.latest.files })}` : "–",
    },
  ];
  if (!preset)
    columns.push({
      title: t("assets.sharedWith"),
      dataIndex: "visibility",
      render: (value: Visibility, asset) => (
        <Tag color={value === "private" ? undefined : "blue"}>
          {t(`visibility.${value}`)}
          {asset.group && `: ${asset.group.name}`}
        </Tag>
      ),
    });
  columns.push(
    { title: t("assets.owner"), dataIndex: "owner_name", sort: "owner_name" },
    { title: t("common.created"), dataIndex: "created_at", sort: "created_at", render: (at) => <When at={at} /> },
  );
  if (operator || !preset)
    columns.push({
      key: "actions",
      render: (_, asset) =>
        asset.can_change && (
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
                  content: t(preset ? "presets.deleteHint" : "assets.deleteHint"),
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
    });

  const mayCreate = operator || !preset;
  return (
    <>
      <ListPage
        title={preset ? undefined : t(`menu.${kind}`)}
        about={t(preset ? `presets.${kind}` : `assets.${kind}.about`)}
        summary={mayCreate && <MyStorage />}
        queryKey={[kind, { visibility: wanted }]}
        load={(query) => ok(api.GET(assetPath(kind, ""), { params: { query: { ...query, visibility: wanted } } }))}
        columns={columns}
        rowKey={(asset) => asset.id}
        extra={
          mayCreate && (
            <Button type="primary" onClick={() => setCreating(true)}>
              {t(`assets.${kind}.create`)}
            </Button>
          )
        }
        filtered={!preset && Boolean(visibility)}
        filters={
          !preset && (
            <Filter
              label={t("assets.sharedWith")}
              value={visibility}
              onChange={setVisibility}
              options={VISIBILITIES.map((value) => ({ value, label: t(`visibility.${value}`) }))}
            />
          )
        }
        file={{ path: `/api/v1/${kind}`, query: { visibility: wanted } }}
        empty={t(mayCreate ? `assets.${kind}.empty` : "presets.empty")}
      />
      <FormDialog<Values, Asset>
        title={t(`assets.${kind}.create`)}
        name="create-asset"
        width={600}
        open={creating}
        onClose={endCreating}
        initialValues={{ description: "", visibility: "private" }}
        submit={create}
        onDone={(asset) => setShown(asset.id)}
      >
        {(form) => (
          <>
            <AssetFields form={form} preset={preset} />
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
        {(form) => <AssetFields form={form} preset={preset} />}
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

function AssetFields({ form, preset }: { form: FormInstance<Values>; preset?: boolean }) {
  const { t } = useTranslation();
  const { user } = useSession();
  const operator = useRole();
  const visibility = Form.useWatch("visibility", form);
  const choices = VISIBILITIES.filter((one) => one !== "preset" || operator);
  return (
    <>
      <Form.Item label={t("common.name")} name="name" rules={[{ required: true, message: t("common.required") }]}>
        <Input autoFocus maxLength={64} />
      </Form.Item>
      <Form.Item label={t("common.description")} name="description">
        <Input maxLength={2000} />
      </Form.Item>
      {!preset && (
        <Form.Item label={t("assets.sharedWith")} name="visibility">
          <Select options={choices.map((value) => ({ value, label: t(`visibility.${value}`) }))} />
        </Form.Item>
      )}
      {!preset && visibility === "group" && (
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
