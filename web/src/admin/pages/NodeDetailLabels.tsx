import { MinusCircleOutlined, PlusOutlined } from "@ant-design/icons";
import { api, ok } from "@shared/api/client";
import { FormDialog } from "@shared/ui/FormDialog";
import { FormList } from "@shared/ui/FormList";
import { App, Button, Flex, Form, Input, Typography } from "antd";
import { useTranslation } from "react-i18next";
import type { Node } from "./NodesParts";

interface Values {
  labels: { key: string; value?: string }[];
}

/** The miner's own labels; those that the agent reports stay as they are. */
export function LabelsDialog({ node, onClose }: { node: Node; onClose: () => void }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const submit = ({ labels }: Values) =>
    ok(
      api.PATCH("/api/v1/nodes/{node_id}", {
        params: { path: { node_id: node.id } },
        body: { own_labels: Object.fromEntries(labels.map(({ key, value = "" }) => [key.trim(), value.trim()])) },
      }),
    );
  return (
    <FormDialog<Values, unknown>
      title={t("nodes.labelsOf", { name: node.name })}
      name="labels"
      open
      onClose={onClose}
      initialValues={{ labels: Object.entries(node.own_labels).map(([key, value]) => ({ key, value })) }}
      submit={submit}
      onDone={() => message.success(t("nodes.labelsDone"))}
      intro={<Typography.Paragraph type="secondary">{t("nodes.labelsAbout")}</Typography.Paragraph>}
    >
      {(form) => (
        <FormList name="labels">
          {(fields, { add, remove }) => (
            <>
              {fields.map((field, index) => (
                <Flex key={field.key} gap="small" align="start">
                  <Form.Item
                    name={[field.name, "key"]}
                    style={{ flex: 1, minWidth: 0, marginBottom: 8 }}
                    rules={[
                      { required: true, message: t("common.required") },
                      {
                        pattern: /^\s*[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?\s*$/,
                        message: t("nodes.labelKeyRule"),
                      },
                      {
                        validator: (_, key: string) =>
                          (form.getFieldValue("labels") as Values["labels"]).some(
                            (one, other) => other !== index && one?.key && one.key.trim() === key?.trim(),
                          )
                            ? Promise.reject(new Error(t("nodes.labelTwice")))
                            : Promise.resolve(),
                      },
                    ]}
                  >
                    <Input aria-label={t("nodes.labelKey", { n: index + 1 })} placeholder="rack" maxLength={253} />
                  </Form.Item>
                  <Form.Item name={[field.name, "value"]} style={{ flex: 1, minWidth: 0, marginBottom: 8 }}>
                    <Input aria-label={t("nodes.labelValue", { n: index + 1 })} placeholder="4" maxLength={255} />
                  </Form.Item>
                  <Button
                    type="text"
                    aria-label={t("nodes.labelRemove", { n: index + 1 })}
                    icon={<MinusCircleOutlined aria-hidden />}
                    onClick={() => remove(field.name)}
                  />
                </Flex>
              ))}
              <Button
                type="dashed"
                block
                icon={<PlusOutlined aria-hidden />}
                disabled={fields.length >= 64}
                onClick={() => add({})}
                style={{ marginBottom: 16 }}
              >
                {t("nodes.labelAdd")}
              </Button>
            </>
          )}
        </FormList>
      )}
    </FormDialog>
  );
}
