import { Button, Checkbox, Form, Input, Tag } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ok, type Schemas } from "../api/client";
import { useRole } from "../session";
import { When } from "../ui/bits";
import { FormDialog } from "../ui/FormDialog";
import { useConfirm } from "../ui/feedback";
import { type Column, ListPage } from "../ui/ListPage";

type Image = Schemas["ImageOut"];

/** The images that notebooks start from. With `manage`, operators add, change and delete them. */
export function Images({ title, manage }: { title?: string; manage?: boolean }) {
  const { t } = useTranslation();
  const confirm = useConfirm();
  const [adding, setAdding] = useState(false);
  const [editing, setEditing] = useState<Image>();
  const canManage = useRole() && manage;

  const columns: Column<Image>[] = [
    { title: t("common.name"), dataIndex: "name", sort: "name" },
    {
      title: t("images.reference"),
      dataIndex: "reference",
      sort: "reference",
      render: (value) => <code>{value}</code>,
    },
    { title: t("common.description"), dataIndex: "description" },
    {
      title: t("images.kind"),
      key: "kind",
      render: (_, image) => (
        <span className="tags">
          {image.jupyter && <Tag color="orange">JupyterLab</Tag>}
          <Tag>{t(`visibility.${image.visibility}`)}</Tag>
        </span>
      ),
    },
    { title: t("common.created"), dataIndex: "created_at", sort: "created_at", render: (at) => <When at={at} /> },
  ];
  if (canManage)
    columns.push({
      key: "actions",
      render: (_, image) => (
        <span className="tags">
          <Button size="small" onClick={() => setEditing(image)}>
            {t("common.edit")}
          </Button>
          <Button
            size="small"
            danger
            onClick={() =>
              confirm({
                title: t("common.deleteAsk", { name: image.name }),
                content: t("images.deleteHint"),
                okText: t("common.delete"),
                action: () => ok(api.DELETE("/api/v1/images/{image_id}", { params: { path: { image_id: image.id } } })),
              })
            }
          >
            {t("common.delete")}
          </Button>
        </span>
      ),
    });

  const add = canManage && (
    <Button type="primary" onClick={() => setAdding(true)}>
      {t("images.add")}
    </Button>
  );
  return (
    <>
      <ListPage
        title={title}
        about={t("images.about")}
        queryKey={["images"]}
        load={(query) => ok(api.GET("/api/v1/images", { params: { query } }))}
        columns={columns}
        rowKey={(image) => image.id}
        extra={add}
        file={{ path: "/api/v1/images" }}
        empty={t(canManage ? "images.emptyManage" : "images.empty")}
      />
      <FormDialog<Schemas["ImageCreate"], unknown>
        title={t("images.add")}
        name="add-image"
        open={adding}
        onClose={() => setAdding(false)}
        initialValues={{ jupyter: true, description: "" }}
        submit={(body) => ok(api.POST("/api/v1/images", { body }))}
      >
        <ImageFields />
      </FormDialog>
      <FormDialog<Schemas["ImageUpdate"], unknown>
        title={t("common.editOf", { name: editing?.name })}
        name="edit-image"
        open={Boolean(editing)}
        onClose={() => setEditing(undefined)}
        initialValues={editing}
        submit={(body) =>
          ok(api.PATCH("/api/v1/images/{image_id}", { params: { path: { image_id: editing?.id ?? "" } }, body }))
        }
      >
        <ImageFields />
      </FormDialog>
    </>
  );
}

function ImageFields() {
  const { t } = useTranslation();
  const required = [{ required: true, message: t("common.required") }];
  return (
    <>
      <Form.Item label={t("common.name")} name="name" rules={required}>
        <Input autoFocus maxLength={64} />
      </Form.Item>
      <Form.Item label={t("images.reference")} name="reference" rules={required} extra={t("images.referenceHint")}>
        <Input placeholder="localhost/utcloud/jupyter:latest" maxLength={255} />
      </Form.Item>
      <Form.Item label={t("common.description")} name="description">
        <Input maxLength={2000} />
      </Form.Item>
      <Form.Item name="jupyter" valuePropName="checked">
        <Checkbox>{t("images.jupyter")}</Checkbox>
      </Form.Item>
    </>
  );
}
