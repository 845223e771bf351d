import { DeleteOutlined } from "@ant-design/icons";
import { useQuery } from "@tanstack/react-query";
import { App, Button, Card, Flex, Form, Input, InputNumber, Skeleton, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ok, type Schemas } from "../api/client";
import { ApiError } from "../api/problem";
import { useResourceName } from "../ui/bits";
import { ErrorCard } from "../ui/ErrorCard";
import { FormDialog } from "../ui/FormDialog";
import { FormList } from "../ui/FormList";
import { UsageBar } from "../ui/UsageBar";
import { percent } from "./quantity";
import { ResourceSelect } from "./ResourceSelect";

type Quota = Schemas["QuotaOut"];

export interface Subject {
  kind: "user" | "group";
  id: string;
  name: string;
}

interface Values {
  notebooks?: number | null;
  tasks?: number | null;
  resources?: { resource: string; most: string }[];
}

/** What a user or a group may use at once, how much of it is used, and, for who may, how to change it. */
export function QuotaCard({ subject, canChange }: { subject: Subject; canChange: boolean }) {
  const { t } = useTranslation();
  const [editing, setEditing] = useState(false);
  const { data, error, refetch } = useQuery({
    queryKey: ["quota", subject.kind, subject.id],
    queryFn: () => get(subject),
  });
  const limited = data && (data.notebooks !== null || data.tasks !== null || Object.keys(data.resources).length > 0);
  return (
    <Card
      size="small"
      title={<h4 className="card-title">{t("quota.title")}</h4>}
      extra={
        canChange && (
          <Button size="small" disabled={!data} onClick={() => setEditing(true)}>
            {t(limited ? "quota.edit" : "quota.set")}
          </Button>
        )
      }
    >
      {error && !data ? (
        <ErrorCard error={error} retry={refetch} />
      ) : data ? (
        <QuotaBars quota={data} />
      ) : (
        <Skeleton active paragraph={{ rows: 2 }} title={false} />
      )}
      {data && <QuotaDialog subject={subject} quota={data} open={editing} onClose={() => setEditing(false)} />}
    </Card>
  );
}

const path = ({ kind, id }: Subject) =>
  kind === "user"
    ? (["/api/v1/users/{user_id}/quota", { params: { path: { user_id: id } } }] as const)
    : (["/api/v1/groups/{group_id}/quota", { params: { path: { group_id: id } } }] as const);

function get(subject: Subject): Promise<Quota> {
  const [url, options] = path(subject);
  return ok(api.GET(url as "/api/v1/users/{user_id}/quota", options as { params: { path: { user_id: string } } }));
}

function put(subject: Subject, body: Schemas["QuotaUpdate"]): Promise<Quota> {
  const [url, options] = path(subject);
  return ok(
    api.PUT(url as "/api/v1/users/{user_id}/quota", {
      ...(options as { params: { path: { user_id: string } } }),
      body,
    }),
  );
}

/** One bar for each thing that is limited or used. */
export function QuotaBars({ quota }: { quota: Quota }) {
  const { t } = useTranslation();
  const name = useResourceName();
  const names = [...new Set([...Object.keys(quota.resources), ...Object.keys(quota.used.resources)])];
  const lines = [
    { label: t("quota.notebooks"), used: String(quota.used.notebooks), limit: quota.notebooks },
    { label: t("quota.tasks"), used: String(quota.used.tasks), limit: quota.tasks },
    ...names.map((resource) => ({
      label: name(resource),
      used: quota.used.resources[resource] ?? "0",
      limit: quota.resources[resource] ?? null,
    })),
  ].filter(({ used, limit }) => limit !== null || used !== "0");
  const limited = lines.some(({ limit }) => limit !== null);
  return (
    <Flex vertical gap="small">
      <Typography.Text type="secondary">{limited ? t("quota.about") : t("quota.none")}</Typography.Text>
      {lines.map(({ label, used, limit }) => {
        const full = limit === null ? null : percent(used, limit);
        const words = limit === null ? t("quota.usedOnly", { used }) : t("quota.used", { used, limit: String(limit) });
        return <UsageBar key={label} label={label} words={words} full={full} />;
      })}
    </Flex>
  );
}

function QuotaDialog(props: { subject: Subject; quota: Quota; open: boolean; onClose: () => void }) {
  const { subject, quota, open, onClose } = props;
  const { t } = useTranslation();
  const { message } = App.useApp();
  const required = [{ required: true, message: t("common.required") }];
  return (
    <FormDialog<Values, Quota>
      title={t("quota.of", { name: subject.name })}
      name="quota"
      width={560}
      open={open}
      onClose={onClose}
      initialValues={{
        notebooks: quota.notebooks,
        tasks: quota.tasks,
        resources: Object.entries(quota.resources).map(([resource, most]) => ({ resource, most })),
      }}
      submit={(values) => put(subject, body(values)).catch((error) => Promise.reject(atLine(error, values)))}
      onDone={() => message.success(t("quota.saved"))}
      intro={<Typography.Paragraph type="secondary">{t("quota.about")}</Typography.Paragraph>}
    >
      <Flex gap="middle" wrap>
        <Form.Item label={t("quota.notebooks")} name="notebooks">
          <InputNumber
            min={0}
            max={1_000_000}
            precision={0}
            placeholder={t("quota.unlimited")}
            style={{ width: 160 }}
          />
        </Form.Item>
        <Form.Item label={t("quota.tasks")} name="tasks">
          <InputNumber
            min={0}
            max={1_000_000}
            precision={0}
            placeholder={t("quota.unlimited")}
            style={{ width: 160 }}
          />
        </Form.Item>
      </Flex>
      <FormList name="resources">
        {(fields, { add, remove }) => (
          <>
            {fields.map(({ key, name }) => (
              <Flex key={key} gap="small" align="start">
                <Form.Item
                  label={t("quota.resource")}
                  name={[name, "resource"]}
                  rules={[
                    ...required,
                    ({ getFieldValue }) => ({
                      validator: (_, value) =>
                        (getFieldValue("resources") as Values["resources"])?.filter((one) => one?.resource === value)
                          .length === 1 || !value
                          ? Promise.resolve()
                          : Promise.reject(new Error(t("quota.twice"))),
                    }),
                  ]}
                  style={{ flex: 1, minWidth: 0 }}
                >
                  <ResourceSelect />
                </Form.Item>
                <Form.Item label={t("quota.most")} name={[name, "most"]} rules={required} style={{ width: 190 }}>
                  <Input maxLength={32} />
                </Form.Item>
                <Button
                  type="text"
                  aria-label={t("common.delete")}
                  icon={<DeleteOutlined aria-hidden />}
                  onClick={() => remove(name)}
                  style={{ marginTop: 30 }}
                />
              </Flex>
            ))}
            <Form.Item extra={t("quota.mostHint")}>
              <Button type="dashed" block onClick={() => add({ most: "" })}>
                {t("quota.add")}
              </Button>
            </Form.Item>
          </>
        )}
      </FormList>
    </FormDialog>
  );
}

/** The server names a resource where the form has a line for it. */
function atLine(error: unknown, { resources = [] }: Values): unknown {
  if (!(error instanceof ApiError)) return error;
  const line = (field: string) => {
    const index = resources.findIndex(({ resource }) => field === `resources.${resource}`);
    return index < 0 ? field : `resources.${index}.most`;
  };
  const { field, errors, ...problem } = error.problem;
  return new ApiError({
    ...problem,
    field: field && line(field),
    errors: errors?.map((one) => ({ ...one, field: line(one.field) })),
  });
}

const body = ({ notebooks, tasks, resources = [] }: Values): Schemas["QuotaUpdate"] => ({
  notebooks: notebooks ?? null,
  tasks: tasks ?? null,
  resources: Object.fromEntries(resources.map(({ resource, most }) => [resource, most])),
});
