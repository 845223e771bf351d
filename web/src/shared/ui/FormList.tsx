import { Form } from "antd";
import { type ComponentProps, type ReactNode, useEffect, useRef } from "react";

type ListProps = ComponentProps<typeof Form.List>;
type Rows = Parameters<ListProps["children"]>;

/** Rows of a form's list. What is wrong with the list as a whole stands below them: antd alone shows it nowhere. */
export function FormList({ name, children }: { name: string; children: (...rows: [Rows[0], Rows[1]]) => ReactNode }) {
  return (
    <Form.List name={name}>
      {(fields, operation, { errors }) => (
        <>
          {children(fields, operation)}
          <ListErrors errors={errors} />
        </>
      )}
    </Form.List>
  );
}

function ListErrors({ errors }: { errors: ReactNode[] }) {
  const here = useRef<HTMLDivElement>(null);
  const wrong = errors.length > 0;
  useEffect(() => {
    if (wrong) here.current?.scrollIntoView({ block: "nearest" });
  }, [wrong]);
  return (
    <div ref={here} role="alert">
      <Form.ErrorList errors={errors} />
    </div>
  );
}
