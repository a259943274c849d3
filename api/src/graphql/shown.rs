//! Objects of an answer: a view of core, and the moment that it is of. Its plain fields are those of the view; what
//! leads to other objects is added by hand.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    marker::PhantomData,
    sync::{Arc, OnceLock},
};

use async_graphql::{
    Value,
    dynamic::{Field, FieldFuture, FieldValue, InputObject, Object, ResolverContext, TypeRef},
};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    arguments,
    connection::{self, Found},
    cost::{Price, Prices},
    refusal::{null_with, refusal},
    scene::Scene,
    shape::{self, Member, Shapes, Way},
};
use crate::{
    auth::Right,
    rest::{Note, Problem},
};

/// A view, and the moment that it is of.
#[derive(Debug)]
pub(super) struct Shown<T> {
    pub(super) scene: Arc<Scene>,
    pub(super) view: T,
    value: OnceLock<Value>,
}

impl<T> Shown<T> {
    pub(super) fn new(scene: Arc<Scene>, view: T) -> Arc<Self> {
        Arc::new(Self { scene, view, value: OnceLock::new() })
    }

    /// Another of the same moment.
    pub(super) fn beside<U>(&self, view: U) -> Arc<Shown<U>> {
        Shown::new(self.scene.clone(), view)
    }
}

impl<T: Serialize> Shown<T> {
    /// Its plain fields, worked out when the first is asked for.
    fn value(&self) -> &Value {
        // Structs with named fields, strings and numbers: this does not fail.
        self.value.get_or_init(|| async_graphql::to_value(&self.view).unwrap_or_default())
    }
}

/// What the types of the schema are made of.
#[derive(Debug, Default)]
pub(super) struct Types {
    pub(super) shapes: Shapes,
    pub(super) prices: Prices,
    pub(super) objects: BTreeMap<String, Object>,
    pub(super) inputs: Vec<InputObject>,
}

/// A type of object that is being put together.
pub(super) struct Type<'a, T> {
    types: &'a mut Types,
    name: String,
    object: Option<Object>,
    of: PhantomData<fn() -> T>,
}

/// What fields need besides what their object needed: rights that follow from the arguments.
pub(super) type Needs<P> = fn(&P) -> Vec<Right>;

impl<'a, T: Serialize + JsonSchema + Send + Sync + 'static> Type<'a, T> {
    /// With the fields of the view, but for some; others are called otherwise: `("node", "nodeName")`, because `node`
    /// leads to the object.
    pub(super) fn of_view(types: &'a mut Types, without: &[&str], renamed: &[(&str, &'static str)]) -> Self {
        let shape = types.shapes.of::<T>(Way::Shown, &without.iter().copied().collect::<BTreeSet<_>>());
        let mut shown = Self::empty(types, &shape.name, &shape.description);
        for member in shape.members {
            let key = member.name.clone();
            let new = renamed.iter().find(|(old, _)| *old == key).map_or(key.as_str(), |(_, new)| new).to_owned();
            shown = shown.plain(key, Member { name: new, ..member });
        }
        shown
    }

    fn plain(self, key: String, Member { name, description, type_ }: Member) -> Self {
        let field = Field::new(name, type_, move |context| {
            let shown = context.parent_value.downcast_ref::<Arc<Shown<T>>>();
            FieldFuture::Value(shown.and_then(|shown| shape::member_of(shown.value(), &key)))
        });
        self.field(field.description(description))
    }
}

impl<'a, T: Send + Sync + 'static> Type<'a, T> {
    /// With no fields of its own.
    pub(super) fn empty(types: &'a mut Types, name: &str, description: &str) -> Self {
        let object = Some(Object::new(name).description(description));
        Self { types, name: name.to_owned(), object, of: PhantomData }
    }

    fn field(mut self, field: Field) -> Self {
        self.object = self.object.map(|object| object.field(field));
        self
    }

    /// Leads to one object, or to none.
    pub(super) fn link<P, U>(
        self,
        name: &str,
        description: &str,
        needs: Needs<P>,
        find: impl Fn(&Shown<T>, P) -> Result<Option<U>, Problem> + Clone + Send + Sync + 'static,
    ) -> Self
    where
        P: DeserializeOwned + JsonSchema + Send + Sync + 'static,
        U: JsonSchema + Send + Sync + 'static,
    {
        let type_ = TypeRef::named(U::schema_name());
        self.costing(name, Price::ONE).resolved(
            name,
            description,
            type_,
            needs,
            move |from: &Shown<T>, parameters: P| {
                let found = find(from, parameters)?;
                Ok(found.map(|view| FieldValue::owned_any(from.beside(view))))
            },
        )
    }

    /// Leads to some objects that belong to this one, all at once.
    pub(super) fn links<U>(
        self,
        name: &str,
        description: &str,
        needs: Needs<arguments::Nothing>,
        find: impl Fn(&Shown<T>) -> Vec<U> + Clone + Send + Sync + 'static,
    ) -> Self
    where
        U: JsonSchema + Send + Sync + 'static,
    {
        let type_ = TypeRef::named_nn_list(U::schema_name());
        self.costing(name, Price::ONE).resolved(name, description, type_, needs, move |from: &Shown<T>, _| {
            let found = find(from).into_iter().map(|view| FieldValue::owned_any(from.beside(view)));
            Ok(Some(FieldValue::list(found)))
        })
    }

    /// Leads to many objects, a page at a time.
    pub(super) fn connection<P, U>(
        self,
        name: &str,
        description: &str,
        needs: Needs<P>,
        find: impl Fn(&Shown<T>, P) -> Result<Found<U>, Problem> + Clone + Send + Sync + 'static,
    ) -> Self
    where
        P: DeserializeOwned + JsonSchema + Send + Sync + 'static,
        U: JsonSchema + Send + Sync + 'static,
    {
        let type_ = TypeRef::named(connection::register::<U>(self.types));
        self.costing(name, Price::PAGE).resolved(
            name,
            description,
            type_,
            needs,
            move |from: &Shown<T>, parameters: P| {
                let found = find(from, parameters)?;
                Ok(Some(FieldValue::owned_any(Arc::new(found.shown(&from.scene)))))
            },
        )
    }

    /// Sets what a field costs, in objects.
    pub(super) fn costing(self, field: &str, price: Price) -> Self {
        self.types.prices.set(&self.name, field, price);
        self
    }

    /// A field that is worked out at once, when the caller may see it.
    fn resolved<P>(
        self,
        name: &str,
        description: &str,
        type_: TypeRef,
        needs: Needs<P>,
        resolve: impl Fn(&Shown<T>, P) -> Result<Option<FieldValue<'static>>, Problem> + Clone + Send + Sync + 'static,
    ) -> Self
    where
        P: DeserializeOwned + JsonSchema + Send + Sync + 'static,
    {
        self.types.prices.lead(&self.name, name, type_.type_name());
        let members = self.types.shapes.of::<P>(Way::Sent, &BTreeSet::new()).members;
        let field = Field::new(name, type_, move |context| {
            let (shown, parameters) = match taken(&context) {
                Ok(taken) => taken,
                Err(problem) => return FieldFuture::Value(null_with(&context, &problem)),
            };
            let rights = needs(&parameters);
            let resolve = resolve.clone();
            if let Some(verdict) = shown.scene.known(&rights) {
                let value = verdict.and_then(|()| resolve(&shown, parameters));
                return FieldFuture::Value(value.unwrap_or_else(|problem| null_with(&context, &problem)));
            }
            FieldFuture::new(async move {
                let verdict = shown.scene.demand(&rights).await;
                let value = verdict.and_then(|()| resolve(&shown, parameters));
                Ok(value.unwrap_or_else(|problem| null_with(&context, &problem)))
            })
        });
        let field = field.description(description);
        self.field(members.into_iter().map(shape::argument).fold(field, Field::argument))
    }

    /// A field that changes something. What it answers with shows the moment after the change.
    pub(super) fn change<P, U, F>(
        self,
        name: &str,
        description: &str,
        change: impl Fn(Arc<Scene>, P) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        P: DeserializeOwned + JsonSchema + Send + Sync + 'static,
        U: JsonSchema + Send + Sync + 'static,
        F: Future<Output = Result<Arc<Shown<U>>, Problem>> + Send + 'static,
    {
        let type_ = TypeRef::named(U::schema_name());
        self.types.prices.lead(&self.name, name, type_.type_name());
        let shape = self.types.shapes.of::<P>(Way::Sent, &BTreeSet::new());
        let input = arguments::input(self.types, shape);
        let operation = name.to_owned();
        let field = Field::new(name, type_, move |context| {
            let (change, operation) = (change.clone(), operation.clone());
            FieldFuture::new(async move {
                let Some(root) = context.parent_value.downcast_ref::<Arc<Shown<T>>>() else {
                    return Err(refusal(&Problem::internal("a change is asked of no moment")));
                };
                let scene = root.scene.clone();
                let (touched, is_dry_run) = arguments::touched(&context);
                let told = scene.asker.account.change(&operation, touched);
                if is_dry_run {
                    scene.asker.account.note(Note::DryRun);
                }
                let changed = match arguments::read_input::<P>(&context) {
                    Ok(input) => change(scene.clone(), input).await,
                    Err(problem) => Err(problem),
                };
                told.ended(changed.as_ref().err().map(Problem::reason));
                match changed {
                    Ok(shown) => Ok(Some(FieldValue::owned_any(shown))),
                    Err(problem) => Ok(null_with(&context, &problem)),
                }
            })
        });
        self.field(field.description(description).argument(input))
    }

    /// It is complete.
    pub(super) fn done(self) {
        let Self { types, name, object, .. } = self;
        if let Some(object) = object {
            types.objects.insert(name, object);
        }
    }
}

/// The object that a field is of, and the arguments.
fn taken<T: Send + Sync + 'static, P: DeserializeOwned>(
    context: &ResolverContext<'_>,
) -> Result<(Arc<Shown<T>>, P), Problem> {
    let shown = context.parent_value.downcast_ref::<Arc<Shown<T>>>();
    let shown = shown.ok_or_else(|| Problem::internal("a field is asked of an object of another type"))?;
    Ok((shown.clone(), arguments::read(context)?))
}
