import { Alert, Button, Form, type FormInstance } from "antd";
import { type ReactNode, useState } from "react";
import { ApiError, type FieldPath, toFields } from "../api/problem";
import { useFail } from "./feedback";

interface Props<V extends object> {
  /** Unique on the page: field ids are made from it. */
  name: string;
  submit: (values: V) => Promise<unknown>;
  okText: string;
  initialValues?: Partial<V>;
  children: ReactNode;
}

/** A form that is a page of its own; refusals are shown at their fields, anything else above the button. */
export function PlainForm<V extends object>({ name, submit, okText, initialValues, children }: Props<V>) {
  const [form] = Form.useForm<V>();
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState<string[]>([]);
  const refuse = useRefusal(form, setRefusal);
  const finish = async (values: V) => {
    setBusy(true);
    setRefusal([]);
    try {
      await submit(values);
    } catch (error) {
      refuse(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Form<V>
      form={form}
      name={name}
      layout="vertical"
      initialValues={initialValues as Record<string, unknown>}
      onFinish={finish}
      scrollToFirstError={{ focus: true }}
    >
      {children}
      <Refused lines={refusal} />
      <Button type="primary" htmlType="submit" block size="large" loading={busy}>
        {okText}
      </Button>
    </Form>
  );
}

/** Show an error where it belongs: at the form's fields, and what belongs to none by `setRest`. */
export function useRefusal<V extends object>(
  form: FormInstance<V>,
  setRest: (lines: string[]) => void,
  rename?: Record<string, string>,
) {
  const fail = useFail();
  return (error: unknown) => {
    if (!(error instanceof ApiError) || error.problem.status === 0) return fail(error);
    const names = form.getFieldsError().map((field) => field.name as FieldPath);
    const { fields, rest } = toFields(error.problem, names, rename);
    form.setFields(fields as Parameters<typeof form.setFields>[0]);
    if (fields[0]) form.scrollToField(fields[0].name as never, { focus: true });
    const cure = error.problem.cure;
    if (rest.length) setRest(cure ? [...rest, cure] : rest);
  };
}

/** What was refused and belongs to no field. */
export function Refused({ lines }: { lines: string[] }) {
  if (lines.length === 0) return null;
  return (
    <Alert
      type="error"
      showIcon
      role="alert"
      style={{ marginBottom: 16 }}
      title={lines[0]}
      description={lines.slice(1).map((line) => (
        <div key={line}>{line}</div>
      ))}
    />
  );
}
