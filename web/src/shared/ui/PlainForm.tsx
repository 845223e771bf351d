import { Button, Form } from "antd";
import type { ReactNode } from "react";
import { Refused, useSending } from "./sending";

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
  const { busy, lines, ...events } = useSending(form, name, submit);
  return (
    <Form<V>
      form={form}
      name={name}
      layout="vertical"
      initialValues={initialValues as Record<string, unknown>}
      scrollToFirstError={{ focus: true }}
      {...events}
    >
      {children}
      <Refused lines={lines} />
      <Button type="primary" htmlType="submit" block size="large" loading={busy}>
        {okText}
      </Button>
    </Form>
  );
}
