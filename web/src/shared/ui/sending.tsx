import { Alert, type FormInstance } from "antd";
import { createContext, useContext, useRef, useState } from "react";
import { ApiError, type FieldPath, toFields } from "../api/problem";
import { useFail } from "./feedback";

interface Marked {
  name: FieldPath;
  value: unknown;
}

/**
 * Send a form: busy meanwhile. What the server refuses is shown at the form's fields, and what belongs to none that is
 * seen as `lines`, each until what it is about changes. `rename` maps the server's field names where the form's differ.
 */
export function useSending<V extends object>(
  form: FormInstance<V>,
  name: string,
  send: (values: V) => Promise<unknown>,
  rename?: Record<string, string>,
) {
  const fail = useFail();
  const [busy, setBusy] = useState(false);
  const [lines, setLines] = useState<string[]>([]);
  const marked = useRef<Marked[]>([]);
  /** Each error of a list of them is about its own field; any other refusal is about all that was sent. */
  const apart = useRef(false);

  const valueOf = (field: FieldPath) => form.getFieldValue(field as never) as unknown;
  const setErrors = (fields: { name: FieldPath; errors: string[] }[]) =>
    form.setFields(fields as Parameters<typeof form.setFields>[0]);

  const forget = (stale: (mark: Marked) => boolean) => {
    setLines([]);
    setErrors(marked.current.filter(stale).map((mark) => ({ name: mark.name, errors: [] })));
    marked.current = marked.current.filter((mark) => !stale(mark));
  };

  const refuse = (error: unknown) => {
    if (!(error instanceof ApiError) || error.problem.status === 0) return fail(error);
    const { problem } = error;
    const shown = form.getFieldsError().map((field) => field.name as FieldPath);
    const names = shown.filter((field) => !isHidden(name, field));
    const { fields, rest } = toFields(problem, names, rename);
    setErrors(fields);
    apart.current = Boolean(problem.errors?.length);
    marked.current = fields.map((field) => ({ name: field.name, value: valueOf(field.name) }));
    if (fields[0]) form.scrollToField(fields[0].name as never, { focus: true });
    if (rest.length) setLines(problem.cure ? [...rest, problem.cure] : rest);
  };

  const onFinish = async (values: V) => {
    setBusy(true);
    forget(() => true);
    try {
      await send(values);
    } catch (error) {
      refuse(error);
    } finally {
      setBusy(false);
    }
  };
  const onValuesChange = () => forget((mark) => !apart.current || mark.value !== valueOf(mark.name));
  return { busy, lines, onFinish, onValuesChange };
}

/** What a field that is hidden says is read by nobody. */
const isHidden = (form: string, field: FieldPath) =>
  Boolean(document.getElementById([form, ...field].join("_"))?.closest(".ant-form-item-hidden"));

const RefusedContext = createContext(false);
/** Around a form's fields: whether they were refused as a whole. */
export const RefusedProvider = RefusedContext.Provider;
/** Whether the form around was refused as a whole, and says why. */
export const useRefused = () => useContext(RefusedContext);

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
