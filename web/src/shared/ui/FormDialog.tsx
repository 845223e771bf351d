import { Button, Flex, Form, type FormInstance, Modal } from "antd";
import { type ReactNode, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { queryClient } from "../query";
import { Refused, RefusedProvider, useSending } from "./sending";

interface Props<V extends object, R> {
  title: string;
  /** Unique on the page: field ids are made from it. */
  name: string;
  open: boolean;
  onClose: () => void;
  submit: (values: V) => Promise<R>;
  onDone?: (result: R) => void;
  initialValues?: Partial<V>;
  okText?: string;
  /** What it does takes something away. */
  danger?: boolean;
  width?: number;
  intro?: ReactNode;
  /** The server's field names where the form's differ. */
  rename?: Record<string, string>;
  children: ReactNode | ((form: FormInstance<V>) => ReactNode);
}

/** A dialog with a form: what the server refuses is shown at the field, anything else beside the form. */
export function FormDialog<V extends object, R>(props: Props<V, R>) {
  useFocusBack();
  return (
    <Modal
      title={props.title}
      open={props.open}
      onCancel={props.onClose}
      width={props.width}
      footer={null}
      destroyOnHidden
      mask={{ closable: false }}
      afterOpenChange={(open) => open && focusFirstField(props.name)}
    >
      {props.open && <DialogForm {...props} />}
    </Modal>
  );
}

/** A dialog that closes gives the focus back; this does it for one that is taken away while it is open. */
function useFocusBack(): void {
  const [opener] = useState(() => document.activeElement);
  useEffect(
    () => () => {
      setTimeout(() => {
        if (document.activeElement === document.body && opener instanceof HTMLElement) opener.focus();
      });
    },
    [opener],
  );
}

/** The dialog itself gives the focus to its closing button. */
function focusFirstField(form: string): void {
  const field = ":is(input:not([type=file]), textarea):not(:disabled)";
  document.getElementById(form)?.querySelector<HTMLElement>(field)?.focus();
}

function DialogForm<V extends object, R>(props: Props<V, R>) {
  const { name, submit, onDone, onClose, initialValues, okText, danger, intro, rename, children } = props;
  const [form] = Form.useForm<V>();
  const send = async (values: V) => {
    const result = await submit(values);
    onClose();
    onDone?.(result);
    void queryClient.invalidateQueries();
  };
  const { busy, lines, ...events } = useSending(form, name, send, rename);

  return (
    <Form<V>
      form={form}
      name={name}
      layout="vertical"
      initialValues={initialValues as Record<string, unknown>}
      scrollToFirstError={{ focus: true }}
      style={{ marginTop: 16 }}
      {...events}
    >
      {intro}
      <RefusedProvider value={lines.length > 0}>
        {typeof children === "function" ? children(form) : children}
      </RefusedProvider>
      <Refused lines={lines} />
      <DialogButtons busy={busy} okText={okText} danger={danger} onClose={onClose} />
    </Form>
  );
}

interface ButtonsProps {
  busy: boolean;
  okText?: string;
  danger?: boolean;
  onClose: () => void;
}

function DialogButtons({ busy, okText, danger, onClose }: ButtonsProps) {
  const { t } = useTranslation();
  return (
    <Flex justify="end" gap="small">
      <Button onClick={onClose}>{t("common.cancel")}</Button>
      <Button type="primary" htmlType="submit" danger={danger} loading={busy}>
        {okText ?? t("common.ok")}
      </Button>
    </Flex>
  );
}
